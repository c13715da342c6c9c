"""The parts of a generated face that the viewer looks at first: eyes, brows, mouth, hair."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from captum_fv.data.generated.canvas import Field, bump, colour, inside, lerp, noise, paint, ramp
from captum_fv.data.generated.parameters import Identity, Nuisance

HAIR = ("120e0d", "2b1b13", "513420", "86603a", "c7a468")
IRIS = ("3a2112", "6b4724", "5f6f42", "4f7fa3", "8c9ca6")
FRAMES = ("18181c", "5a3320", "7d1f2b", "24406a", "a8884c")

# Rows that hold a feature in any pose.
BROW_ROWS, EYE_ROWS = slice(22, 62), slice(34, 70)
GLASSES_ROWS, LOWER_ROWS = slice(26, 80), slice(70, None)


@dataclass(frozen=True)
class Head:
    """Where each pixel lies on the posed head."""

    u: Field
    v: Field
    radius: Field
    """0 between the cheekbones, 1 on the face's outline."""
    width: float
    """Half the face's width in pixels."""
    chin: float
    """The chin's v."""

    def part(self, rows: slice, columns: slice = slice(None)) -> Head:
        """The same head, seen in a window of the picture."""
        u, v, radius = (field[rows, columns] for field in (self.u, self.v, self.radius))
        return Head(u, v, radius, self.width, self.chin)


def hair_colour(identity: Identity) -> Field:
    """Hair goes with the skin (fair hair on fair skin) and turns grey with age."""
    fairest = lerp(1.0, 0.3, identity.skin_tone)
    base = colour(*HAIR, at=identity.hair_tone * fairest)
    red = 0.8 * identity.hair_red * fairest
    base = base * np.array([1 + red, 1, 1 - 0.7 * red], np.float32)
    grey = max(0.0, identity.age - 0.8) / 0.2
    return np.asarray(base + (colour("b9b6b2") - base) * 0.85 * grey, np.float32)


def paint_eyes(skin: Field, head: Head, identity: Identity, nuisance: Nuisance) -> None:
    """Lids, white, iris, pupil, lashes and the glint of the light."""
    spacing = lerp(15.8, 19.4, identity.eye_spacing)
    width = lerp(7.4, 9.8, identity.eye_size)
    opening = lerp(2.7, 4.4, identity.eye_opening) * lerp(0.9, 1.1, identity.eye_size)
    opening *= 1 - 0.18 * max(0.0, nuisance.smile)
    tilt = math.radians(lerp(-7, 9, identity.eye_tilt))
    iris = colour(*IRIS, at=identity.eye_colour * lerp(1.0, 0.2, identity.skin_tone))
    for sign, columns in ((-1, slice(10, 58)), (1, slice(54, 102))):
        part, eye = head.part(EYE_ROWS, columns), skin[:, EYE_ROWS, columns]
        out, down = part.u * sign - spacing, part.v
        x = out * math.cos(tilt) - down * math.sin(tilt)
        y = down * math.cos(tilt) + out * math.sin(tilt)
        along = np.clip(1 - (x / width) ** 2, -1, 1)
        lid, lower = -opening * along, 0.62 * opening * along
        shape = inside(np.maximum(lid - y, y - lower), 1.2)
        within = inside(np.abs(x) - width, 2.5)
        paint(eye, eye * 0.45, 0.5 * np.exp(-(((y - lid + 2.8) / 0.9) ** 2)) * within)
        white = np.array([0.62, 0.58, 0.55], np.float32)
        paint(eye, white[:, None, None] * (0.5 + 0.5 * ramp(y - lid, 0, 3)), shape)
        distance = np.hypot(x - 1.6 * nuisance.gaze * sign, y + 0.15 * opening)
        radius = lerp(3.7, 4.4, identity.eye_size)
        paint(eye, iris * 0.3, shape * inside(distance - radius))
        paint(eye, iris * 1.1, shape * inside(distance - radius + 1.0, 1.5))
        paint(eye, [0.004, 0.003, 0.003], shape * inside(distance - 1.7))
        paint(eye, [0.012, 0.008, 0.007], 0.9 * np.exp(-(((y - lid) / 0.9) ** 2)) * within)
        paint(eye, eye * 0.4, 0.5 * np.exp(-(((y - lower) / 0.7) ** 2)) * within)
        glint_x = 1.2 * math.copysign(sign, nuisance.light_side * sign)
        paint(eye, [1, 1, 1], 0.85 * shape * bump(x, y, (glint_x, -1.6), (0.75, 0.75)))


def paint_brows(skin: Field, head: Head, identity: Identity, nuisance: Nuisance) -> None:
    """Two tapering arcs of hair."""
    head, skin = head.part(BROW_ROWS), skin[:, BROW_ROWS]
    side = np.abs(head.u)
    middle = lerp(16.5, 19.0, identity.eye_spacing)
    t = (side - middle) / 11.5
    height = lerp(-9.5, -13.5, identity.brow_height) - 2.0 * nuisance.brow_raise
    curve = lerp(0.5, 3.6, identity.brow_arch) * (1 - t * t)
    curve = curve + lerp(-1.0, 2.4, identity.brow_angle) * t
    thick = lerp(0.9, 2.9, identity.brow_thickness) * (1 - 0.55 * ramp(t, -0.2, 1.1))
    distance = np.maximum(np.abs(head.v - height + curve) - thick, (np.abs(t) - 1) * 9)
    hairs = 0.82 + 0.16 * noise(side * 5 + head.v * 5, head.v * 2 - side, identity.texture)
    paint(skin, hair_colour(identity) * 0.6, np.clip(inside(distance, 1.8) * hairs, 0, 1))


def paint_mouth(skin: Field, head: Head, identity: Identity, nuisance: Nuisance) -> None:
    """Two lips, and the teeth between them when the mouth is open."""
    head, skin = head.part(LOWER_ROWS), skin[:, LOWER_ROWS]
    happy = 0.55 + 0.45 * nuisance.smile
    width = lerp(11.8, 17.2, identity.mouth_width) * (1 + 0.10 * happy)
    t = head.u / width
    along = np.clip(1 - t * t, 0, 1)
    smile = 4.2 * happy
    line = 40.2 + smile * (0.5 - t * t)
    gap = 3.2 * max(0.0, nuisance.mouth_open) * along
    upper = lerp(1.7, 4.2, identity.upper_lip) * np.sqrt(along)
    upper = upper * (1 - 0.28 * np.exp(-((head.u / 2.2) ** 2)) - 0.15 * t * t)
    lower = lerp(2.4, 5.2, identity.lower_lip) * np.sqrt(along)
    above, below = line - 0.3 * gap, line + 0.7 * gap
    natural = colour("d09483", "b8695f", "8a4a44", at=identity.skin_tone)
    painted = colour("c98074", "c4545c", "a02c3e")
    lips = natural + (painted - natural) * 1.3 * max(0.0, identity.lip_colour - 0.35)
    lips = lips * lerp(1.2, 0.7, identity.lip_colour)
    v = head.v
    paint(skin, lips * 0.78, inside(np.maximum(above - upper - v, v - above), 1.3) * (along > 0))
    paint(skin, lips, inside(np.maximum(below - v, v - below - lower), 1.5) * (along > 0))
    paint(skin, lips * 1.5, 0.35 * bump(head.u, v, (0, below.mean() + 2.2), (5, 0.9)))
    opened = inside(np.maximum(above - v, v - below), 1.2) * ramp(gap, 0, 0.8)
    paint(skin, [0.05, 0.012, 0.012], opened)
    teeth = opened * inside(v - above - 0.62 * gap, 1) * inside(np.abs(t) - 0.72, 0.3)
    paint(skin, [0.72, 0.70, 0.64], 0.92 * teeth)
    seam = np.exp(-(((v - above) / 0.75) ** 2)) * inside(np.abs(head.u) - width - 0.5, 2)
    paint(skin, lips * 0.22, 0.8 * seam)
    corner = bump(np.abs(head.u), v, (width + 0.5, 40.2 - 0.5 * smile), (1.4, 1.4))
    paint(skin, skin * 0.5, 0.5 * corner)
    paint(skin, skin * 0.6, 0.4 * bump(head.u, v, (0, 40.2 + 9), (8, 1.5)))


def paint_beard(skin: Field, head: Head, identity: Identity) -> None:
    """Beard and moustache, from stubble to full."""
    if identity.beard == identity.moustache == 0:
        return
    head, skin = head.part(LOWER_ROWS), skin[:, LOWER_ROWS]
    u, v = head.u, head.v
    side = np.abs(u)
    lip = inside(np.hypot(u / 15, (v - 42) / 7) * 7 - 7, 3)
    jaw = ramp(v, 26, 40) * ramp(head.radius, 0.62, 0.86) + bump(u, v, (0, 56), (12, 7))
    tache = inside(np.abs(v - 33 - 0.022 * u * u) - 2.2, 3) * inside(side - 13, 6)
    cover = identity.beard * np.clip(jaw, 0, 1) * (1 - lip) + identity.moustache * tache
    strands = 0.8 + 0.2 * noise(u * 6 + 2 * side, v * 3, identity.texture + 5)
    paint(skin, hair_colour(identity) * 0.8, np.clip(1.1 * cover * strands, 0, 0.95))


def paint_hair(picture: Field, head: Head, identity: Identity, shade: Field) -> None:
    """Hair on top of the head and, if it is long, beside the face."""
    u, v = head.u, head.v
    side = np.abs(u)
    part = lerp(-16, 16, identity.hair_part)
    length = identity.hair_length
    x, y = u - part, v + 62
    flow, reach = np.arctan2(x, np.maximum(y, 1)) * 26, np.hypot(x, y)
    curl = identity.hair_curl
    wave = 3.0 * curl * np.sin(reach * 0.35 + 2 * np.sin(flow * 0.2))
    strands = noise(flow * 7 + 3 * wave, reach * 0.7, identity.texture + 11)
    blobs = noise(u * 5, v * 5, identity.texture + 17)
    strands = strands + (blobs - strands) * max(0.0, 2.5 * curl - 1.5)
    # The hairline: high in the middle, lower at the temples, down to the ears at the sides.
    line = lerp(-25, -38, identity.hairline) + 0.006 * x * x
    if identity.fringe > 0.65:
        drop = lerp(8, 20, (identity.fringe - 0.65) / 0.35)
        line = line + drop * bump(u, v, (part / 2, -20), (22, 99))
    line = line + 1.2 * strands
    # Long hair falls before the temples and behind the jaw, short hair ends above the ears.
    behind = np.minimum(head.radius * head.width, side + 13) + lerp(0.3, 1.5, curl) * strands
    temple = ramp(behind, head.width - 8, head.width + (0 if length > 0.5 else 1))
    bottom = lerp(34, 110, 2 * length - 1) if length > 0.5 else lerp(4, 9, identity.ear_size)
    depth = v - line - (bottom - line) * temple
    slope_y, slope_x = np.gradient(depth)
    depth = depth / np.maximum(np.hypot(slope_x, slope_y), 1)
    volume = lerp(1, 12, identity.hair_volume) * min(1.0, 2 * length)
    outline = np.where(v < 6, (head.radius - 1) * head.width, side - head.width) - volume
    outline = outline + 0.9 * curl * blobs
    cover = inside(depth, 2) * inside(outline, 2)
    thick = min(1.0, length / 0.2)
    cover = cover * lerp(0.35, 1.0, thick) * np.clip(1 + (1 - thick) * 0.3 * strands, 0, 1)
    lit = np.maximum(0.25 + 0.8 * shade, 0) * (1 + 0.25 * strands)
    sheen = np.exp(-(((reach - 34) / 9) ** 2)) * np.clip(0.6 + 0.5 * strands, 0, 2)
    lit = lit * (1 + 0.9 * (1 - curl) * sheen)
    fall = bump(u, depth, (0, 1), (99, 4)) * inside(head.radius - 1, 0.1)
    paint(picture, picture * 0.55, 0.5 * fall * thick)
    paint(picture, hair_colour(identity)[:, None, None] * lit, np.clip(cover, 0, 1))


def paint_glasses(picture: Field, head: Head, identity: Identity) -> None:
    """Two rims, a bridge, the temples and a faint tint."""
    if identity.glasses == 0:
        return
    head, picture = head.part(GLASSES_ROWS), picture[:, GLASSES_ROWS]
    side, v = np.abs(head.u), head.v - 1.0
    square = lerp(2.0, 5.0, identity.frame_shape)
    width, height = lerp(11.5, 13.5, identity.frame_shape), lerp(11.0, 9.0, identity.frame_shape)
    x, y = np.abs(side - 17.6) / width, np.abs(v) / height
    lens = ((x**square + y**square) ** (1 / square) - 1) * height
    heavy = lerp(0.6, 1.7, identity.glasses)
    rim = inside(np.abs(lens) - heavy, 1.2)
    bridge = inside(np.maximum(np.abs(v + 3 - 0.08 * side * side) - heavy, side - 7), 1.2)
    arms = inside(np.maximum(np.abs(v + 3) - heavy, 17.6 + width - side), 1.2)
    arms = arms * inside((head.radius - 1) * head.width)
    frame = colour(*FRAMES, at=identity.frame_colour)
    paint(picture, [0.8, 0.88, 0.95], 0.04 * inside(lens))
    paint(picture, picture * 0.6, 0.4 * inside(np.abs(lens - 0.5) - heavy - 1, 2))
    paint(picture, frame, np.clip(rim + bridge + arms, 0, 1))
