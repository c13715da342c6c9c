"""Who a generated face is (`Identity`) and how it was photographed (`Nuisance`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Identity:
    """What stays the same in every picture of one person: numbers in [0, 1] and a texture seed.

    Each number runs from the least to the most of what it names; the painter says how many pixels.
    """

    face_width: float
    jaw_width: float
    chin_length: float
    chin_point: float
    cheekbones: float
    hairline: float
    skin_tone: float  # light to dark
    skin_undertone: float  # cool to warm
    blush: float
    age: float
    freckles: float  # below 0.6: none
    mole_u: float
    mole_v: float
    hair_tone: float  # dark to fair, within what goes with the skin
    hair_red: float
    hair_length: float  # below 0.1: shaved; above 0.5: falls beside the face
    hair_volume: float
    hair_curl: float
    hair_part: float  # left to right
    fringe: float  # below 0.65: none
    brow_thickness: float
    brow_angle: float
    brow_arch: float
    brow_height: float
    eye_size: float
    eye_opening: float
    eye_spacing: float
    eye_tilt: float
    eye_colour: float  # brown, hazel, green, blue, grey
    nose_length: float
    nose_width: float
    nose_bridge: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lip_colour: float
    ear_size: float
    beard: float  # 0: none
    moustache: float  # 0: none
    glasses: float  # 0: none; else how heavy the frame is
    frame_shape: float  # round to rectangular
    frame_colour: float
    texture: int  # seeds the layout of pores, freckles and strands


@dataclass(frozen=True)
class Nuisance:
    """What changes from one picture to the next; 0 is neutral, and 1 the strongest usual amount."""

    light_side: float  # from the left to from the right
    light_height: float
    light_strength: float  # flat to hard
    temperature: float  # cold to warm
    exposure: float
    contrast: float
    roll: float
    yaw: float
    pitch: float
    shift_x: float
    shift_y: float
    scale: float
    smile: float
    mouth_open: float  # 0 and below: closed
    brow_raise: float
    gaze: float
    background_hue: float
    background_light: float
    background_slope: float
    clothes_hue: float
    clothes_light: float
    blur: float
    noise: float
    grain: int  # seeds the sensor noise


def sample_identity(seed: int) -> Identity:
    """The person with this number; the same number is always the same person.

    >>> sample_identity(7) == sample_identity(7) != sample_identity(8)
    True
    """
    rng = np.random.default_rng(seed)
    names = [name for name in Identity.__dataclass_fields__ if name != "texture"]
    drawn = dict(zip(names, rng.random(len(names)).tolist(), strict=True))
    bare = drawn["hair_length"] > 0.55  # long hair and a beard seldom meet
    drawn["beard"] = 0.0 if bare else max(0.0, 2 * drawn["beard"] - 1)
    drawn["moustache"] = 0.0 if bare else max(drawn["beard"], 2 * drawn["moustache"] - 1)
    drawn["glasses"] = max(0.0, (drawn["glasses"] - 0.75) / 0.25)
    return Identity(**drawn, texture=int(rng.integers(2**31)))


def sample_nuisance(rng: np.random.Generator, reach: float = 1.0) -> Nuisance:
    """One way to photograph anybody, every number drawn uniformly from [-reach, reach]."""
    names = [name for name in Nuisance.__dataclass_fields__ if name != "grain"]
    drawn = dict(zip(names, rng.uniform(-reach, reach, len(names)).tolist(), strict=True))
    return Nuisance(**drawn, grain=int(rng.integers(2**31)))
