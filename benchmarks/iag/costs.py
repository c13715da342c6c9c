"""What a method costs: passes through the model, counted, and time beside plain forwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from iag.study import BUILD, Study
from speed.timing import compare
from torch import Tensor, nn

from captum_fv.report.text_table import TextTable


@contextmanager
def counted_passes(backbone: nn.Module) -> Iterator[dict[str, int]]:
    """Counts the images that go forwards through a backbone, and those that gradients reach."""
    count = {"forward": 0, "backward": 0}

    def forwards(_: nn.Module, inputs: tuple[Tensor]) -> None:
        count["forward"] += len(inputs[0])
        if inputs[0].requires_grad:
            inputs[0].register_hook(backwards)

    def backwards(gradient: Tensor) -> None:
        count["backward"] += len(gradient)

    handle = backbone.register_forward_pre_hook(forwards)
    try:
        yield count
    finally:
        handle.remove()


def cost_table(study: Study, pairs: int = 16) -> TextTable:
    """Passes and time for each image; a pair has two."""
    batch = study.batch.rows(range(min(pairs, len(study.batch))))
    images = torch.cat([batch.patched_a, batch.img_b])
    rows = []
    for name in study.names:
        method = BUILD[name](study.siamese, study.threshold)

        def explain(method=method) -> None:
            method.attribute((batch.patched_a, batch.img_b))

        with counted_passes(study.siamese.backbone) as count:
            explain()
        forward, backward = (passes / len(images) for passes in count.values())
        _, _, times = compare(
            torch.no_grad()(lambda: study.siamese.embed_images(images)), explain, 5
        )
        passes = [forward, backward, forward + 2 * backward, times]
        rows.append([name, *(f"{figure:.1f}" for figure in passes)])
    header = ["method", "forwards", "backwards", "forwards + 2 backwards", "time / forward's"]
    return TextTable("cost", "For each image.", header, rows)
