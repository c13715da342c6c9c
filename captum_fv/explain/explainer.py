"""Two photos and a model in, everything that is known of the pair out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.attr.contributions import region_report
from captum_fv.attr.methods import Method, build_methods
from captum_fv.attr.pair import Pair
from captum_fv.benchmark.maps import maps_of_pair, reads_patches, reads_reference
from captum_fv.core.checks import as_number
from captum_fv.data.faces import FaceFinder
from captum_fv.data.mean_face import read_reference_face
from captum_fv.data.pairs import to_tensor
from captum_fv.explain.document import ONLY_GENERATED, Threshold, pair_document
from captum_fv.explain.explanation import PairExplanation
from captum_fv.explain.photos import Photo, view_photo
from captum_fv.explain.strangers import beyond_strangers, embed_photos, other_people
from captum_fv.metrics import Calibration
from captum_fv.models.demo import DemoBackbone
from captum_fv.models.xcos.head import fingerprint
from captum_fv.models.zoo import load_backbone
from captum_fv.siamese.backbone import contract, hidden_contract
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import NO_GRADIENT

DEFAULT_METHODS = ("iag_decision", "occlusion_alt")
"""The best maps for a few gradients, and for a few hundred forwards: docs/alternative.md."""

FAST_METHODS = DEFAULT_METHODS[:1]
GRADIENT_FREE = DEFAULT_METHODS[1:]


class PairExplainer:
    """Explains pairs of photos with one model, as `explain_photos` does one.

    What does not depend on the pair is read once: the model, the strangers, the reference face.

    Args:
        model, threshold, methods, calibration, strangers, reference, fast, finder, device: As in
            `explain_photos`.
        name: What the model is called; None: its file, its name or its class.

    Raises:
        FileNotFoundError, TypeError, ValueError: As there.
    """

    def __init__(
        self,
        model: SiameseCosine | nn.Module | str | Path = "demo",
        threshold: float | None = None,
        *,
        methods: Sequence[str] | None = None,
        calibration: Calibration | str | Path | None = None,
        strangers: Tensor | str | Path | None = None,
        reference: str | Path | None = None,
        fast: bool = False,
        finder: FaceFinder | None = None,
        device: str | torch.device = "cpu",
        name: str | None = None,
    ) -> None:
        self.siamese, self.name = _as_siamese(model, device, name)
        self.model_hash = fingerprint(self.siamese.backbone)
        carried = contract(self.siamese.backbone)
        self.size = carried.size or (112, 112)
        self.is_demo = isinstance(self.siamese.backbone, DemoBackbone)
        self.device = device
        if isinstance(calibration, str | Path):
            calibration = Calibration.load(calibration)
        if calibration is not None:
            calibration.check_model(self.model_hash)
        self.calibration = calibration
        self.threshold = _threshold(
            threshold, calibration, carried.threshold, self.name, self.is_demo
        )
        self.fast, self.finder = bool(fast), finder
        self.methods = self._built(methods)
        self.reads_reference = any(map(reads_reference, self.methods.values()))
        if reference is not None and not self.reads_reference:
            raise ValueError("--reference: none of these methods asks for it; leave it out")
        self._reference_from = reference
        self._strangers_from = strangers

    def explain(
        self,
        photo_a: Photo,
        photo_b: Photo,
        *,
        names: tuple[str, str] = ("photo A", "photo B"),
        face_a: int | None = None,
        face_b: int | None = None,
        largest: bool = False,
        aligned: bool = False,
        show_progress: bool = False,
    ) -> PairExplanation:
        """Explain one pair.

        Args:
            photo_a, photo_b, face_a, face_b, largest, aligned, show_progress: As in
                `explain_photos`.
            names: What photos are called that are no files.

        Raises:
            FileNotFoundError, SeveralFacesError, ValueError: As there.
        """
        views = tuple(
            view_photo(
                photo,
                self.size,
                name=name,
                face=face,
                largest=largest,
                aligned=aligned,
                finder=self.finder,
            )
            for photo, name, face in zip((photo_a, photo_b), names, (face_a, face_b), strict=True)
        )
        img_a, img_b = (to_tensor([view.crop]).to(self.device) for view in views)
        with torch.no_grad():
            embeddings = self.siamese.embed_images(torch.cat([img_a, img_b]))
            score = self.siamese(img_a, img_b).item()
        maps = self._maps((img_a, img_b), show_progress)
        cohort = None if self.cohort is None else other_people(self.cohort, embeddings)
        regions, beyond = None, None
        if not self.fast:
            regions = region_report(
                self.siamese,
                (img_a, img_b),
                self.threshold.value,
                cohort=cohort,
                show_progress=show_progress,
            )
            if cohort is not None:
                beyond = beyond_strangers(self.siamese, (img_a, img_b), embeddings, cohort)
        evidence = None if self.calibration is None else self.calibration.evidence(score)
        document = pair_document(
            views=(views[0], views[1]),
            model=self.name,
            model_hash=self.model_hash,
            is_demo=self.is_demo,
            score=score,
            threshold=self.threshold,
            methods=self.methods,
            maps=maps,
            beyond=beyond,
            regions=regions,
            strangers=None if cohort is None else (embeddings @ cohort.T).cpu(),
            evidence=evidence,
            under_blur=self.reads_reference and self._reference_from is None,
        )
        return PairExplanation(document, maps, regions)

    @cached_property
    def cohort(self) -> Tensor | None:
        """Embeddings of the strangers, (n, d); None where they were not asked."""
        given = self._strangers_from
        if isinstance(given, str | Path):
            return embed_photos(self.siamese, Path(given), self.size, self.finder, self.device)
        return given

    @cached_property
    def reference(self) -> Tensor | None:
        """Somebody else's face, (1, 3, H, W)."""
        if self._reference_from is None:
            return None
        return read_reference_face(self._reference_from, self.size).to(self.device)

    def _built(self, names: Sequence[str] | None) -> dict[str, Method]:
        self._chosen = names is not None
        default = FAST_METHODS if self.fast else DEFAULT_METHODS
        methods = build_methods(default if names is None else names, *self._model)
        for name, method in methods.items():
            if reads_patches(method):
                raise ValueError(
                    f"{name}: it knows the patches of a Patch set; `captum-fv dpr` takes it"
                )
        return methods

    @property
    def _model(self) -> tuple[SiameseCosine, float]:
        return self.siamese, self.threshold.value

    def _maps(self, pair: Pair, show_progress: bool) -> dict[str, Pair]:
        """The maps of the methods; of those that need no gradient where the model gives none."""
        asked: dict[str, Any] = {"show_progress": show_progress, "reference": self.reference}
        try:
            return maps_of_pair(self.methods, pair, **asked)
        except ValueError as error:
            if self._chosen or NO_GRADIENT not in str(error):
                raise
        self.methods = build_methods(GRADIENT_FREE, *self._model)
        return maps_of_pair(self.methods, pair, **asked)


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


def _as_siamese(
    model: SiameseCosine | nn.Module | str | Path, device: str | torch.device, name: str | None
) -> tuple[SiameseCosine, str]:
    """The model, and what it is called."""
    if isinstance(model, SiameseCosine):
        return model, name or type(model.backbone).__name__
    if isinstance(model, nn.Module):
        return SiameseCosine(model), name or type(model).__name__
    backbone = load_backbone(model, device=device)
    unknown = contract(backbone).mean is None and hidden_contract(backbone) is None
    usual = 0.5 if unknown else None
    path = Path(model)
    return SiameseCosine(backbone, usual, usual), name or (path.stem if path.suffix else str(model))


def _as_calibration(given: Calibration | str | Path | None) -> Calibration | None:
    return Calibration.load(given) if isinstance(given, str | Path) else given


def _threshold(
    given: float | None,
    calibration: Calibration | None,
    own: float | None,
    name: str,
    is_demo: bool,
) -> Threshold:
    """The user's threshold, else the calibration's, else the model's own."""
    if given is not None:
        try:
            value = as_number("--threshold", given)
        except ValueError as error:
            raise ValueError(f"--threshold: got {given}; want a cosine, in [-1, 1]") from error
        threshold = Threshold(value, "given")
    elif calibration is not None:
        at = f"an FMR of at most {calibration.fmr:g} on {calibration.source}"
        threshold = Threshold(calibration.threshold, at)
    elif own is not None:
        source = "the model's own"
        threshold = Threshold(float(own), f"{source}; {ONLY_GENERATED}" if is_demo else source)
    else:
        raise ValueError(
            f"--threshold is missing: {name} does not say from which cosine it matches; "
            "`captum-fv dpr` finds it on your pairs, and `captum-fv calibrate` a likelihood ratio "
            "beside it"
        )
    if not -1 <= threshold.value <= 1:
        raise ValueError(f"--threshold: got {threshold.value}; want a cosine, in [-1, 1]")
    return threshold
