"""Twins of generated people: the same person but for one part, which is somebody else's."""

from __future__ import annotations

from dataclasses import replace

from captum_fv.data.generated.parameters import Identity

PARTS = {
    "nose": ("nose_length", "nose_width", "nose_bridge"),
    "eyes": ("eye_size", "eye_opening", "eye_spacing", "eye_tilt", "eye_colour"),
    "eyebrows": ("brow_thickness", "brow_angle", "brow_arch", "brow_height"),
    "mouth": ("mouth_width", "upper_lip", "lower_lip", "lip_colour"),
    "outline": ("face_width", "jaw_width", "chin_length", "chin_point", "cheekbones"),
    "hair": (
        *("hairline", "hair_tone", "hair_red", "hair_length"),
        *("hair_volume", "hair_curl", "hair_part", "fringe"),
    ),
    "glasses": ("glasses", "frame_shape", "frame_colour"),
    "beard": ("beard", "moustache"),
    "marks": ("mole_u", "mole_v", "freckles"),
}
"""What can be swapped -> the numbers of `Identity` that make it."""


def swap_part(person: Identity, donor: Identity, part: str) -> Identity:
    """The person with one part of the donor's; the texture stays.

    >>> from captum_fv.data.generated import sample_identity
    >>> ann, bob = sample_identity(1), sample_identity(2)
    >>> twin = swap_part(ann, bob, "nose")
    >>> twin.nose_width == bob.nose_width, twin.eye_size == ann.eye_size
    (True, True)
    """
    return replace(person, **{name: getattr(donor, name) for name in PARTS[part]})
