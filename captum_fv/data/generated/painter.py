"""Paints a face that belongs to nobody, in the geometry of the ArcFace template.

Face coordinates are pixels of the aligned 112x112 crop with the origin between the eyes, u to the
right and v down: eyes at (+-17.6, 0), nose tip at (0, 20), mouth corners at (+-14.6, 40.7).
"""

from __future__ import annotations

import math

import numpy as np

from captum_fv.core.arrays import Image
from captum_fv.data.generated.canvas import (
    Field,
    bump,
    colour,
    hue,
    inside,
    lerp,
    noise,
    paint,
    ramp,
)
from captum_fv.data.generated.features import (
    Head,
    paint_beard,
    paint_brows,
    paint_eyes,
    paint_glasses,
    paint_hair,
    paint_mouth,
)
from captum_fv.data.generated.parameters import Identity, Nuisance

SIZE = 112
CENTRE = (56.0, 51.6)
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE].astype(np.float32)
SKIN = ("f2d4c2", "e9c3a8", "deac86", "bf8a63", "936242", "67432f")


def render_face(identity: Identity, nuisance: Nuisance) -> Image:
    """A portrait of one person in one situation, (112, 112, 3) uint8 RGB."""
    head = _pose(identity, nuisance)
    picture = _background(nuisance)
    _paint_body(picture, head, identity, nuisance)
    shade, gloss = _lit(_relief(head, identity, nuisance), nuisance)
    face = _skin(head, identity) + 0.08 * gloss
    paint_mouth(face, head, identity, nuisance)
    paint_eyes(face, head, identity, nuisance)
    paint_brows(face, head, identity, nuisance)
    paint_beard(face, head, identity)
    face *= np.stack([shade + 0.07 * (1 - shade), shade, shade - 0.03 * (1 - shade)])
    paint(picture, face, inside((head.radius - 1) * head.width))
    dome = 40 * np.cos(np.minimum(head.radius, 1.5))
    paint_hair(picture, head, identity, _lit(dome, nuisance)[0])
    paint_glasses(picture, head, identity)
    return _photograph(picture, nuisance)


def _pose(identity: Identity, nuisance: Nuisance) -> Head:
    """Face coordinates of every pixel: a similarity, then parallax from turning the head."""
    angle = math.radians(5 * nuisance.roll)
    scale = 1 + 0.05 * nuisance.scale
    x = (COLUMNS - CENTRE[0] - 2.0 * nuisance.shift_x) / scale
    y = (ROWS - CENTRE[1] - 2.0 * nuisance.shift_y) / scale
    u = math.cos(angle) * x + math.sin(angle) * y
    v = math.cos(angle) * y - math.sin(angle) * x
    depth = bump(u, v, (0, 10), (24, 34)) + 0.35 * bump(u, v, (0, 19), (6, 8)) - 0.75
    u = u - 6 * nuisance.yaw * depth
    v = v - 4 * nuisance.pitch * depth
    width = lerp(36, 43, identity.face_width)
    chin = lerp(54, 62, identity.chin_length) + 2 * max(0.0, nuisance.mouth_open)
    # An upper and a lower superellipse that meet at the cheekbones; the jaw tapers to the chin.
    t = np.where(v < 6, (6 - v) / 74, (v - 6) / (chin - 6))
    jaw = lerp(0.34, 0.12, identity.jaw_width)
    half = width * np.where(v < 6, 1, 1 - jaw * ramp(t, 0.1, 1.1))
    half = half + lerp(-1, 2, identity.cheekbones) * np.exp(-(((v - 10) / 10) ** 2))
    across, along = (u / half) ** 2, np.where(v < 6, t * t * t, t * t)
    blunt = lerp(0.75, 0.0, identity.chin_point)
    radius = np.sqrt(across + along - blunt * np.where(v < 6, 0, across * along))
    return Head(u, v, radius, width, chin)


def _skin(head: Head, identity: Identity) -> Field:
    u, v = head.u, head.v
    base = colour(*SKIN, at=identity.skin_tone)
    base = base * np.array([1.0, 1.0, lerp(1.08, 0.76, identity.skin_undertone)], np.float32)
    mottle = 1 + 0.035 * noise(u * 4, v * 4, identity.texture)
    mottle *= 1 + 0.03 * noise(u * 11 + 90, v * 11, identity.texture)
    skin = base[:, None, None] * mottle
    side = np.abs(u)
    flush = bump(side, v, (22, 21), (9, 8)) + 0.6 * bump(u, v, (0, 21), (6, 5))
    paint(skin, base * [1.0, 0.62, 0.6], lerp(0.0, 0.65, identity.blush) * flush)
    if identity.freckles > 0.6:
        spots = ramp(noise(u * 7 + 40, v * 7 + 13, identity.texture), 0.9, 1.5)
        where = bump(u, v, (0, 17), (24, 9)) * 2.2 * (identity.freckles - 0.55)
        paint(skin, base * [0.62, 0.45, 0.36], spots * where)
    for mole_u, mole_v, size in (
        (lerp(-30, 30, identity.mole_u), lerp(10, 50, identity.mole_v), 1.1),
        (lerp(28, -28, identity.mole_v), lerp(-28, -14, identity.mole_u), 0.8),
    ):
        paint(skin, base * 0.22, 0.8 * bump(u, v, (mole_u, mole_v), (size, size)))
    # Creases that come with the years: nose to mouth, under the eyes, across the forehead.
    fold = np.abs(side - (9.5 + 0.013 * (v - 16) ** 2 + 1.5 * identity.nose_width))
    lines = np.exp(-((fold / 1.6) ** 2)) * ramp(v, 18, 24) * ramp(v, 41, 30)
    bags = bump(side, v - 0.012 * (side - 17) ** 2, (16, 9), (7, 1.3))
    forehead = np.exp(-(((np.sin(0.6 * v + 0.1 * np.cos(u / 9)) - 1) / 0.16) ** 2))
    forehead = forehead * bump(u, v, (0, -21), (15, 6))
    aged = lerp(0.05, 0.34, identity.age) * lines + lerp(0.05, 0.3, identity.age) * bags
    paint(skin, base * [0.5, 0.36, 0.32], aged + 0.4 * max(0, identity.age - 0.4) * forehead)
    paint(skin, base * [0.55, 0.42, 0.38], _nose_lines(head, identity))
    sockets = bump(side, v, (12 + 4 * identity.eye_spacing, -2), (8, 5))
    paint(skin, base * [0.55, 0.42, 0.40], 0.38 * sockets)
    return skin


def _nose(identity: Identity) -> tuple[float, float]:
    """The tip's height v and half the width over the nostrils."""
    return lerp(16.5, 23.5, identity.nose_length), lerp(5.2, 9.6, identity.nose_width)


def _nose_lines(head: Head, identity: Identity) -> Field:
    tip, width = _nose(identity)
    side = np.abs(head.u)
    nostrils = bump(side, head.v - 0.15 * side, (0.52 * width, tip + 2.4), (1.7, 1.0))
    wings = bump(side, head.v, (width, tip + 0.3), (1.1, 2.6))
    under = bump(head.u, head.v, (0, tip + 4), (0.7 * width, 1.4))
    flank = bump(side, head.v, (lerp(3.0, 5.6, identity.nose_bridge), 0.35 * tip), (1.8, 7))
    return np.minimum(0.95 * nostrils + 0.5 * wings + 0.3 * under + 0.2 * flank, 1)


def _relief(head: Head, identity: Identity, nuisance: Nuisance) -> Field:
    """How far each point of the face stands out, in pixels."""
    u, v = head.u, head.v
    side = np.sqrt(u * u + 16)  # |u| without the crease in the middle
    tip, width = _nose(identity)
    height = 30 * np.cos(np.minimum(head.radius, 1.2) * (np.pi / 2))
    bridge = lerp(1.8, 5.4, identity.nose_bridge)
    ridge = np.exp(-0.5 * (u / (bridge + 0.10 * np.maximum(v, 0))) ** 2)
    height += ridge * (1.5 * ramp(v, -16, -2) + 6 * ramp(v, -10, tip)) * ramp(v, tip + 5, tip - 1)
    height += 2.2 * bump(side, v, (0.78 * width, tip + 0.5), (2.0, 2.2))
    height -= 3.2 * bump(side, v, (15, 0), (8, 5))
    height += 2.0 * bump(side, v, (15, 0), (6, 3.2))
    height += lerp(0.6, 2.0, identity.cheekbones) * bump(side, v, (24, 17), (9, 7))
    height += 1.2 * bump(side, v, (15, -10), (12, 3))
    height += 1.6 * max(0.0, nuisance.smile) * bump(side, v, (20, 26), (6, 6))
    height += 1.6 * bump(u, v, (0, head.chin - 6), (8, 5))
    height -= 1.2 * bump(u, v, (0, 48), (10, 2.5))
    return np.asarray(height)


def _lit(height: Field, nuisance: Nuisance) -> tuple[Field, Field]:
    """How bright a surface is (about 1 where it faces the viewer) and where it glints."""
    x, y = 0.75 * nuisance.light_side, -0.4 - 0.3 * nuisance.light_height
    length = float(np.hypot(1, np.hypot(x, y)))
    slope_y, slope_x = np.gradient(height)
    facing = 1 / length - x / length * slope_x - y / length * slope_y
    facing = np.maximum(facing / np.sqrt(1 + slope_x**2 + slope_y**2), 0)
    direct = 0.62 + 0.2 * nuisance.light_strength
    return (1 - direct) + direct * 1.12 * facing, (facing**4) ** 4


def _background(nuisance: Nuisance) -> Field:
    base = hue(nuisance.background_hue / 2, 0.13, 0.5 + 0.3 * nuisance.background_light)
    slope = 1 + 0.5 * nuisance.background_slope * (COLUMNS + 0.5 * ROWS - 84) / 84
    return np.ascontiguousarray(base[:, None, None] * slope, np.float32)


def _paint_body(picture: Field, head: Head, identity: Identity, nuisance: Nuisance) -> None:
    """Neck, clothes and ears: what lies behind the face."""
    u, v = head.u, head.v
    side = np.abs(u)
    base = colour(*SKIN, at=identity.skin_tone)
    neck = inside(side - 0.62 * head.width - 0.06 * np.maximum(v - 60, 0) ** 2, 2)
    paint(picture, base * [0.55, 0.45, 0.42], neck * ramp(v, 30, 40))
    cloth = hue(nuisance.clothes_hue / 2, 0.4, 0.4 + 0.3 * nuisance.clothes_light)
    paint(picture, cloth, inside(74 - 0.42 * side - v, 1.5))
    size = lerp(0.8, 1.25, identity.ear_size)
    ear_u, ear_v = (side - head.width - 1.5 * size) / (5 * size), (v - 9) / (11 * size)
    ear = ear_u**2 + ear_v**2
    paint(picture, base * [0.85, 0.72, 0.68], inside((ear - 1) * 3))
    paint(picture, base * [0.5, 0.36, 0.32], 0.7 * np.exp(-((ear / 0.35) ** 2)))


def _photograph(picture: Field, nuisance: Nuisance) -> Image:
    """Exposure, white balance, blur, tone curve and sensor noise."""
    from scipy.ndimage import gaussian_filter1d

    warm = 0.14 * nuisance.temperature
    balance = np.array([1 + warm, 1, 1 - warm], np.float32) * 2 ** (0.3 * nuisance.exposure)
    linear = np.maximum(picture * balance[:, None, None], 0)
    sigma = 0.45 + 0.3 * nuisance.blur
    linear = gaussian_filter1d(gaussian_filter1d(linear, sigma, axis=1), sigma, axis=2)
    tone = np.sqrt(linear)
    tone = 0.5 + (tone - 0.5) * (1 + 0.15 * nuisance.contrast)
    # Highlights roll off instead of clipping.
    tone = np.where(tone > 0.85, 0.85 + 0.15 * np.tanh((tone - 0.85) / 0.15), tone)
    grain = np.random.default_rng(nuisance.grain).standard_normal(tone.shape, np.float32)
    tone += (0.012 + 0.010 * nuisance.noise) * grain
    levels = np.clip(tone, 0, 1) * 255 + 0.5
    return np.ascontiguousarray(levels.transpose(1, 2, 0), np.uint8)
