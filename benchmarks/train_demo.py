"""Trains the demo backbone on generated faces: python benchmarks/train_demo.py --out runs/demo.

Rendered faces and checkpoints lie in --out; the same command goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.core.files import save_atomically
from captum_fv.data import generated_pairs
from captum_fv.data.generated import photograph
from captum_fv.data.pairs import PairSet, to_tensor
from captum_fv.data.patched_pairs import patch_pairs
from captum_fv.metrics.rates import error_rates
from captum_fv.models.demo import DemoBackbone
from captum_fv.models.xcos.margin import margin_loss
from captum_fv.siamese import SiameseCosine

WEIGHTS = Path(__file__).parents[1] / "captum_fv/models/weights/demo.safetensors"
BATCH = 128


def render_person(task: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """All photos of one person, (photos, 112, 112, 3)."""
    person, photos = task
    return np.stack([photograph(person, photo) for photo in range(photos)])


def render(out: Path, people: int, photos: int) -> npt.NDArray[np.uint8]:
    """The training faces (people, photos, 112, 112, 3), memory-mapped; rendered at most once."""
    path = out / f"faces-{people}x{photos}.npy"
    if not path.exists():
        partial = path.with_suffix(".partial")
        faces = np.lib.format.open_memmap(
            partial, "w+", np.uint8, shape=(people, photos, 112, 112, 3)
        )
        with get_context("spawn").Pool(os.cpu_count()) as pool:
            rendered = pool.imap(render_person, ((p, photos) for p in range(people)), 4)
            for person, photo in enumerate(tqdm(rendered, "rendering", people, unit="person")):
                faces[person] = photo
        faces.flush()
        partial.rename(path)
    loaded: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return loaded


def normalised(images: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
    """What the backbone takes, in the memory format that is faster on a CPU."""
    return (to_tensor(images) * 2 - 1).contiguous(memory_format=torch.channels_last)


def train(faces: npt.NDArray[np.uint8], out: Path, epochs: int, minutes: float) -> DemoBackbone:
    """Trains for some epochs, or until the minutes are over; resumes from the last checkpoint.

    Raises:
        SystemExit: The time is over; the checkpoint is written.
    """
    started = time.monotonic()
    people, photos = faces.shape[:2]
    flat = faces.reshape(-1, 112, 112, 3)
    torch.manual_seed(0)
    backbone = DemoBackbone().to(memory_format=torch.channels_last)
    centres = nn.Parameter(0.01 * torch.randn(people, 128))
    optimiser = torch.optim.AdamW([*backbone.parameters(), centres], lr=3e-3, weight_decay=0.05)
    steps = len(flat) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, epochs * steps, pct_start=0.2)
    parts = {"backbone": backbone, "optimiser": optimiser, "schedule": schedule}
    checkpoint, first = out / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        centres.data, first = state["centres"], state["epoch"]
    for epoch in range(first, epochs):
        order = np.random.default_rng(epoch).permutation(len(flat))
        progress = tqdm(range(steps), f"epoch {epoch + 1}/{epochs}", unit="batch", mininterval=5)
        for step in progress:
            chosen = np.sort(order[step * BATCH : (step + 1) * BATCH])
            images = normalised(flat[chosen])
            # The margin grows with the epochs: from the start it would stall the training.
            margin = 0.3 * min(1.0, 2 * epoch / epochs)
            labels = torch.from_numpy(chosen // photos)
            loss = margin_loss(backbone(images), centres, labels, margin)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
        state = {name: part.state_dict() for name, part in parts.items()}
        save_atomically(state | {"centres": centres.data, "epoch": epoch + 1}, checkpoint)
        if epoch + 1 < epochs and time.monotonic() - started > 60 * minutes:
            raise SystemExit(f"{minutes:g} minutes are over: the same command goes on from here")
    return backbone.eval()


@torch.no_grad()
def evaluate(backbone: DemoBackbone, pairs: PairSet) -> str:
    """EER on clean pairs, and both error rates at its threshold once images A are patched."""
    siamese = SiameseCosine(backbone)
    clean = score_clean_pairs(siamese, pairs, show_progress=True)
    scores = [siamese(patched_a, img_b) for patched_a, _, img_b in patch_pairs(pairs).batches(32)]
    rates = error_rates(torch.cat(scores), pairs.genuine, clean.threshold)
    genuine, impostor = clean.scores[pairs.genuine], clean.scores[~pairs.genuine]
    return (
        f"{len(pairs)} unseen pairs: EER {clean.eer:.4f}, threshold {clean.threshold:.4f}\n"
        f"genuine {genuine.mean():.3f} +- {genuine.std():.3f}, "
        f"impostor {impostor.mean():.3f} +- {impostor.std():.3f}\n"
        f"patched: FMR {rates.fmr:.3f}, FNMR {rates.fnmr:.3f}"
    )


def main() -> None:
    """Renders, trains, evaluates and writes the weights that the package ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where to write the result")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    faces = render(args.out, args.people, args.photos)
    backbone = train(faces, args.out, args.epochs, args.minutes)
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in backbone.state_dict().items()
    }
    args.weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, args.weights)
    backbone.load_state_dict(weights)  # what is measured is what is shipped
    print(evaluate(backbone, generated_pairs(1000)))


if __name__ == "__main__":
    main()
