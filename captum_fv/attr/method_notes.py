"""What each method shows, costs and comes from, as `captum-fv methods` lists them."""

from __future__ import annotations

from typing import NamedTuple

from captum_fv.attr.methods import GROUPS, METHODS


class MethodNote(NamedTuple):
    """What to know of a method before it is chosen.

    Args:
        shows: What its maps say.
        cost: For a pair of 112x112.
        source: Who published it.
    """

    shows: str
    cost: str
    source: str


_XFACE = "Knoche et al., WACVW 2023"
_OURS = "our own, benchmarks/iag/OWN_METHOD.md"
_ALTERNATIVE = "our own, docs/alternative.md"
_XCOS = "Lin et al., TOMM 2021"
_CONTROL = "control"

NOTES = {
    "xssab": MethodNote(
        "gradients of the arguments for and against the decision",
        "1 forward, 2 backwards",
        "Huber et al., WACV 2024",
    ),
    "xface1": MethodNote("covered patches of both, all pairs of them", "2,262 forwards", _XFACE),
    "xface2": MethodNote("covered patches of one face", "2,262 forwards", _XFACE),
    "xface3": MethodNote("covered patches of both, at the same place", "2,262 forwards", _XFACE),
    "xface1_alt": MethodNote(
        "xface1 against the other decision", "2,262 forwards", f"{_XFACE}; {_ALTERNATIVE}"
    ),
    "xface2_alt": MethodNote(
        "xface2 against the other decision", "2,262 forwards", f"{_XFACE}; {_ALTERNATIVE}"
    ),
    "xface3_alt": MethodNote(
        "xface3 against the other decision", "2,262 forwards", f"{_XFACE}; {_ALTERNATIVE}"
    ),
    "occlusion_alt": MethodNote(
        "xface2_alt with one size of patches", "340 forwards", f"{_XFACE}; {_ALTERNATIVE}"
    ),
    "corrrise": MethodNote(
        "where a place under a mask goes with the score", "1,002 forwards", "Lu et al., WACV 2024"
    ),
    "corrrise_alt": MethodNote(
        "corrrise against the other decision",
        "1,002 forwards",
        f"Lu et al., WACV 2024; {_ALTERNATIVE}",
    ),
    "minplus": MethodNote(
        "the mean of what erasing and keeping parts does, at once and greedily",
        "up to 21,510 forwards",
        "Mery and Morris, WACV 2022",
    ),
    "minplus_s0": MethodNote(
        "how far the score falls when a part is erased, with its sign",
        "514 forwards",
        "Mery and Morris, WACV 2022",
    ),
    "iag_decision": MethodNote(
        "what the decision rests on, against the other one", "4 forwards, 3 backwards", _OURS
    ),
    "iag_polarity": MethodNote(
        "what is similar, what dissimilar", "4 forwards, 3 backwards", _OURS
    ),
    "iag_relevance": MethodNote(
        "what matters to the score, for or against", "4 forwards, 3 backwards", _OURS
    ),
    "iag_agreement": MethodNote(
        "iag_decision, where the faces are alike", "4 forwards, 3 backwards", _ALTERNATIVE
    ),
    "agreement": MethodNote(
        "where the faces are alike to an early layer", "1 forward", _ALTERNATIVE
    ),
    "fggb": MethodNote(
        "gradients of the embedding's dimensions, weighted by their arguments",
        "1 forward, 512 backwards",
        "Lu et al., FG 2024",
    ),
    "fame": MethodNote(
        "pixels that an adversarial path changes",
        "402 forwards, 400 backwards",
        "Zhang and Günther, 2026",
    ),
    "gradcam": MethodNote(
        "where the last grid speaks for the score, coarsely",
        "1 forward, 1 backward",
        "Selvaraju et al., ICCV 2017",
    ),
    "saliency": MethodNote("magnitudes of the gradient", "1 forward, 1 backward", "Captum"),
    "input_x_gradient": MethodNote("pixels times the gradient", "1 forward, 1 backward", "Captum"),
    "xcos_s": MethodNote("cosines of the cells", "1 forward, a trained head", _XCOS),
    "xcos_w": MethodNote("which cells count", "1 forward, a trained head", _XCOS),
    "xcos_sw": MethodNote("what the cells contribute", "1 forward, a trained head", _XCOS),
    "interaction": MethodNote(
        "which part of A goes with which part of B",
        "580 forwards",
        "our own, docs/methods.md; FIxLIP, Baniecki et al., 2025",
    ),
    "rnd": MethodNote("chance", "none", "control: Huber et al., WACV 2024"),
    "oracle": MethodNote("the true patches of a Patch set", "the score", _CONTROL),
    "difference": MethodNote("how far the pixels differ; no model", "none", _CONTROL),
    "sensitivity": MethodNote(
        "where the score reacts, not which way", "1 forward, 1 backward", _CONTROL
    ),
    "centre": MethodNote("the middle of the face; sees neither photo", "the score", _CONTROL),
}
"""Name, as in METHODS -> its note."""


def describe_methods() -> str:
    """All methods in the order of METHODS, a line each for what they show, cost and come from."""
    lines = []
    for name in METHODS:
        note = NOTES[name]
        lines += [name, f"    shows {note.shows}", f"    costs {note.cost}; {note.source}"]
    groups = [f"{group} stands for {', '.join(names)}" for group, names in GROUPS.items()]
    return "\n".join([*lines, "", *groups, "Your own: module:Class, importable from here."])
