"""What methods over random or given masks share: one loop over pairs and sides, fill and bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.alternative import Decision
from captum_fv.attr.bank import BankFill, OcclusionBank, bank_fill, embed_masked
from captum_fv.attr.bank_reader import BankReader
from captum_fv.attr.contrast import as_others, partner_vectors
from captum_fv.attr.fills import resolve_fill
from captum_fv.attr.pair import SIDES, Explain, Pair
from captum_fv.core.checks import check_choice
from captum_fv.core.vectors import cosine
from captum_fv.core.waiting import step
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.scoring import embed_images

MaskedEmbeddings = Callable[[Tensor], Tensor]
"""Masks (M, H, W) -> embeddings (M, d) of the image under each of them."""


@dataclass(frozen=True)
class MaskedFace:
    """One image of a pair, ready to be hidden.

    Args:
        masks: Of this call, (M, H, W).
        clean, partner: Embeddings (d,) of the image, and the vector that it is compared with.
        embed: Gives the image's embeddings under any masks.
    """

    masks: Tensor
    clean: Tensor
    partner: Tensor
    embed: MaskedEmbeddings

    def bank(self) -> OcclusionBank:
        """The image under all masks."""
        return OcclusionBank(self.masks, self.embed(self.masks), self.clean)


class BankMethod(BankReader, PerturbationAttribution):  # type: ignore[misc]
    """A method that hides parts of one image and looks at the embeddings.

    A method writes `_masks(size)`, drawn once a call for all images, `map_of(bank, partners)`, and
    `_looks()`, how many masked images a map takes at most.

    Args:
        siamese: The model.
        fill: What shows where an image is hidden: "black" (the model must know its value: see
            `SiameseCosine.black`), "mean" of each channel, "blur" with sigma 8 H / 112, a number,
            or "alternative" for what the face would be if the other decision were right
            (`Alternative`).
        threshold: The decision threshold, a cosine or a (N,) tensor, for "alternative" alone.
        reference: Somebody else's face for "alternative", as `Alternative` takes it.

    Raises:
        TypeError: The model has no `.embed`, or a fill that is neither name nor number.
        ValueError: An unknown fill, or "black" of unknown value.
    """

    reads_embeddings = True
    options = frozenset({"explain", "show_progress", "against"})

    def __init__(
        self,
        siamese: Any,
        fill: BankFill | Literal["alternative"] | float,
        threshold: float | Tensor | None,
        reference: Tensor | None,
    ) -> None:
        super().__init__(siamese)
        if isinstance(fill, str):
            check_choice("fill", fill, ("black", "mean", "blur", "alternative"))
        self.fill = resolve_fill(fill, getattr(siamese, "black", None), None)
        self._take_fill(fill == "alternative", threshold, reference)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    @step()
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        against: Tensor | None = None,
        explain: Explain = "both",
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> Pair:
        """Explain a batch of pairs; as in `PairMethod.attribute`.

        Args:
            inputs, img_b, target, additional_forward_args, threshold, against: As there; a
                threshold for "alternative" alone.
            reference: For this call, in place of the constructor's.
            explain: "a" or "b" for the map of one image at half the work; the other map is zero.
            perturbations_per_eval: How many masked images go through the model at once; no more
                ever exist. None: 16, and on CUDA what a trial finds to be fastest.
            show_progress: Show a bar that counts down `num_forwards`, with the time left.
        """
        pairs, level = self._checked(
            inputs, img_b, target, additional_forward_args, threshold, against
        )
        forwards = self.num_forwards(pairs[0], explain)
        decisions = self._decisions(pairs, level, reference)
        maps = torch.zeros_like(pairs[0]), torch.zeros_like(pairs[1])
        bar = self._bar(forwards, show_progress)
        faces = self._faces(pairs, decisions, against, perturbations_per_eval, bar)
        # Not inference_mode: what a model keeps of such a call it could never differentiate.
        with torch.no_grad(), bar:
            for i, both in enumerate(faces):
                for side in SIDES[explain]:
                    maps[side][i] = self._map(both[side])
        return maps

    def num_forwards(self, img_a: Tensor, explain: Explain = "both") -> int:
        """How many images go through the model at most.

        Args:
            img_a: Images A, (N, C, H, W); only the shape counts.
            explain: As in `attribute`.
        """
        check_choice("explain", explain, tuple(SIDES))
        if getattr(img_a, "ndim", 0) != 4:
            raise ValueError(f"img_a: got {type(img_a).__name__}; want images (N, C, H, W)")
        return len(img_a) * (2 + len(SIDES[explain]) * self._looks())

    def _faces(
        self,
        pairs: Pair,
        decisions: Sequence[Decision | None],
        against: Tensor | None,
        perturbations_per_eval: int | None,
        bar: Any,
    ) -> Iterator[list[MaskedFace]]:
        """Both images of each pair; what is wrong with the arguments is said at once."""
        count = images_at_once(
            self.forward_func, pairs[0], perturbations_per_eval=perturbations_per_eval
        )
        others: Any = [None] * len(pairs[0])
        if against is not None:
            others = as_others(against, len(pairs[0]))[:, None]
        masks = self._masks_of_sides((pairs[0].shape[-2], pairs[0].shape[-1]))

        def one_by_one() -> Iterator[list[MaskedFace]]:
            for faces, decision, other in zip(
                torch.stack(pairs, 1), decisions, others, strict=True
            ):
                clean = embed_images(self.forward_func, faces)
                bar.update(2)
                (partners,) = partner_vectors(clean[None], other)
                fills = self._fills(faces, cosine(clean, partners), decision)
                yield [
                    MaskedFace(
                        masks[side].to(faces.device),
                        clean[side],
                        partners[side],
                        partial(
                            embed_masked,
                            self.forward_func,
                            faces[side],
                            fill=fills[side],
                            count=count,
                            on_images=bar.update,
                        ),
                    )
                    for side in (0, 1)
                ]

        return one_by_one()

    def _bank(
        self, image: Tensor, fill: Tensor | None, count: int, show_progress: bool
    ) -> OcclusionBank:
        return OcclusionBank.of(
            self.forward_func,
            image,
            self._masks((image.shape[-2], image.shape[-1])),
            self._own_fill(image) if fill is None else fill,
            perturbations_per_eval=count,
            show_progress=show_progress,
        )

    def _fills(self, faces: Tensor, scores: Tensor, decision: Decision | None) -> list[Tensor]:
        """What shows where A and B are hidden, each broadcastable to (C, H, W).

        Args:
            faces: (2, C, H, W).
            scores: What is decided on for A and for B, (2,).
            decision: None if no fill depends on it.
        """
        if decision is None:
            return [bank_fill(self._own_fill(face), face, None) for face in faces]
        return list(decision.alternatives(faces, scores))

    def _own_fill(self, image: Tensor) -> BankFill | float | Tensor:
        """What shows where one image is hidden, as `OcclusionBank.of` takes it."""
        return self.fill  # type: ignore[no-any-return]

    def _masks(self, size: tuple[int, int]) -> Tensor:
        """The masks of this call, (M, H, W), bool or uint8."""
        raise NotImplementedError

    def _masks_of_sides(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Those of A and of B."""
        masks = self._masks(size)
        return masks, masks

    def _looks(self) -> int:
        """How many masked images a map takes at most."""
        raise NotImplementedError

    def _map(self, face: MaskedFace) -> Tensor:
        """The map (H, W) of one image of a pair."""
        return self.map_of(face.bank(), face.partner)
