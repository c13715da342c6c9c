"""Explains pairs of photos with one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.attr import region_report
from captum_fv.attr.methods import Method, build_methods, method_builder
from captum_fv.attr.pair import Pair
from captum_fv.benchmark.maps import maps_of_pair, reads_patches, reads_reference
from captum_fv.benchmark.provenance import model_hash, of_methods, of_models
from captum_fv.data.face_search import finder_name
from captum_fv.data.faces import FaceFinder
from captum_fv.data.mean_face import read_reference_face
from captum_fv.data.pairs import to_tensor
from captum_fv.explain.document import pair_document
from captum_fv.explain.explanation import PairExplanation
from captum_fv.explain.given import as_calibration, as_siamese, choose_threshold
from captum_fv.explain.photos import Photo, view_photo
from captum_fv.explain.strangers import beyond_strangers, embed_photos, other_people
from captum_fv.metrics import Calibration
from captum_fv.models.demo import DemoBackbone
from captum_fv.siamese.backbone import contract
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
        self.siamese, self.name = as_siamese(model, device, name)
        self.model_hash = model_hash(self.siamese)
        carried = contract(self.siamese.backbone)
        self.size = carried.size or (112, 112)
        self.is_demo = isinstance(self.siamese.backbone, DemoBackbone)
        self.device = device
        self.calibration = as_calibration(calibration)
        if self.calibration is not None:
            self.calibration.check_model(self.model_hash)
        self.threshold = choose_threshold(
            threshold, self.calibration, carried.threshold, self.name, self.is_demo
        )
        self.fast, self.finder = bool(fast), finder
        self._by_default = methods is None
        if methods is None:
            methods = FAST_METHODS if self.fast else DEFAULT_METHODS
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

    def settings(self) -> dict[str, Any]:
        """What tells these explanations from others, for JSON: models, methods and all options."""
        builders = {name: method_builder(name) for name in self.methods}
        files = {
            "reference_sha256": self.reference,
            "strangers_sha256": self.cohort,
        }
        return {
            **of_models({self.name: self.siamese}),
            **of_methods(builders, [self.siamese]),
            **{name: None if value is None else _sha256(value) for name, value in files.items()},
            "threshold": self.threshold.value,
            "threshold_from": self.threshold.source,
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "size": list(self.size),
            "fast": self.fast,
            "finder": finder_name(self.finder),
        }

    @cached_property
    def cohort(self) -> Tensor | None:
        """Embeddings of the strangers, (n, d); None where they were not asked."""
        given = self._strangers_from
        if isinstance(given, str | Path):
            return embed_photos(self.siamese, Path(given), self.size, self.finder, self.device)
        return None if given is None else given.to(self.device)

    @cached_property
    def reference(self) -> Tensor | None:
        """Somebody else's face, (1, 3, H, W)."""
        if self._reference_from is None:
            return None
        return read_reference_face(self._reference_from, self.size).to(self.device)

    def _built(self, names: Sequence[str]) -> dict[str, Method]:
        methods = build_methods(names, self.siamese, self.threshold.value)
        for name, method in methods.items():
            if reads_patches(method):
                raise ValueError(
                    f"{name}: it knows the patches of a Patch set; `captum-fv dpr` takes it"
                )
        return methods

    def _maps(self, pair: Pair, show_progress: bool) -> dict[str, Pair]:
        """The maps of the methods; of those that need no gradient where the model gives none."""
        asked: dict[str, Any] = {"show_progress": show_progress, "reference": self.reference}
        try:
            return maps_of_pair(self.methods, pair, **asked)
        except ValueError as error:
            if not self._by_default or NO_GRADIENT not in str(error):
                raise
        self.methods = self._built(GRADIENT_FREE)
        return maps_of_pair(self.methods, pair, **asked)


def _sha256(values: Tensor) -> str:
    return sha256(values.detach().cpu().numpy().tobytes()).hexdigest()
