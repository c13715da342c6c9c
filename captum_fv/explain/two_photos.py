"""Two photos and a model in, everything that is known of the pair out: in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from captum_fv.data.faces import FaceFinder
from captum_fv.explain.explainer import PairExplainer
from captum_fv.explain.explanation import PairExplanation
from captum_fv.explain.photos import Photo
from captum_fv.metrics import Calibration
from captum_fv.siamese.model import SiameseCosine


def explain_photos(
    photo_a: Photo,
    photo_b: Photo,
    model: SiameseCosine | nn.Module | str | Path = "demo",
    threshold: float | None = None,
    *,
    methods: Sequence[str] | None = None,
    calibration: Calibration | str | Path | None = None,
    strangers: Tensor | str | Path | None = None,
    reference: str | Path | None = None,
    fast: bool = False,
    face_a: int | None = None,
    face_b: int | None = None,
    largest: bool = False,
    aligned: bool = False,
    finder: FaceFinder | None = None,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> PairExplanation:
    """Say whether two photos match, and why.

    The faces are found and aligned, the maps made, and the face's regions asked one by one.

    Args:
        photo_a, photo_b: Files, arrays (H, W, 3) of uint8 in RGB, or pictures of Pillow, of any
            size. One of exactly the model's size is taken for an aligned face, unless a face is
            found in it elsewhere.
        model: A SiameseCosine, a backbone, or what `load_backbone` takes. "demo" knows only
            generated faces.
        threshold: The cosine from which a pair matches, in [-1, 1]. None: the calibration's, else
            the model's own.
        methods: Names of methods, the first of which is shown first. None: iag_decision and
            occlusion_alt; where the model gives no gradient, the latter alone.
        calibration: What `captum-fv calibrate` wrote for this model, or its file: then the score
            comes with its likelihood ratio.
        strangers: A folder of other people's photos, or their embeddings (n, d): then the page
            shows what is no more than a stranger's photo would show. A hundred will do.
        reference: A picture of a mean face, or a folder of aligned photos whose mean is taken, for
            methods that ask against whom a match was. None: each photo, blurred.
        fast: iag_decision alone, and no regions.
        face_a, face_b: Which of several faces, counted from 1 on the left.
        largest: The largest of several faces, in both.
        aligned: Both are aligned faces of the model's size; no face is looked for.
        finder: Finds faces, as `find_faces` takes it.
        device: Where a model is loaded to.
        show_progress: Show bars.

    Returns:
        The score, the decision, the maps, the regions and the page.

    Raises:
        FileNotFoundError: There is no such file.
        SeveralFacesError: There are several faces, and nothing says which.
        ValueError: No photo, no face, no threshold, or a calibration of another model.

    >>> import captum_fv as fv
    >>> photo_a, photo_b = fv.generated_pairs(2).pair(0)
    >>> found = explain_photos(photo_a, photo_b, fast=True)
    >>> found.matches, list(found.maps), found.maps["iag_decision"][0].shape
    (True, ['iag_decision'], torch.Size([1, 3, 112, 112]))
    """
    explainer = PairExplainer(
        model,
        threshold,
        methods=methods,
        calibration=calibration,
        strangers=strangers,
        reference=reference,
        fast=fast,
        finder=finder,
        device=device,
    )
    return explainer.explain(
        photo_a,
        photo_b,
        face_a=face_a,
        face_b=face_b,
        largest=largest,
        aligned=aligned,
        show_progress=show_progress,
    )
