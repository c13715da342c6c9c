"""Training of an xCos head over grids that a frozen backbone gave once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from captum_fv.core.arrays import IntArray
from captum_fv.core.checks import as_number, check_counts, is_count
from captum_fv.core.files import alone_in, reading, refuse_another, save_atomically
from captum_fv.models.xcos.grids import GridCache
from captum_fv.models.xcos.head import PatchedCosineHead
from captum_fv.models.xcos.margin import margin_loss


@dataclass(frozen=True)
class Recipe:
    """How a head is trained; with the defaults, as the demo backbone's was."""

    epochs: int = 12
    batch: int = 256
    """Photos in a batch, two of each person."""
    rate: float = 5e-3
    """Peak of the learning rate, which rises for a fifth of the training and then falls."""
    margin: float = 0.3
    """Of CosFace; it grows to this over the first half, for from the start it would stall."""
    imitation: float = 300.0
    """Weight of the squared distance between xCos and the backbone's cosine. Published with 1, but
    the margin loss is some 300 times larger and then decides alone."""
    reduced: int = 32
    """Channels of the head's grid."""
    neck: int = 160
    """Channels of the head's 3x3 layer; 0 for the published head."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(epochs=self.epochs, batch=self.batch, reduced=self.reduced)
        if self.batch < 4:
            raise ValueError(f"batch: got {self.batch}; want 4 photos or more, of two people")
        for name, value in (("neck", self.neck), ("seed", self.seed)):
            if value != 0 and not is_count(value):
                raise ValueError(f"{name}: got {value!r}; want a whole number, 0 or more")
        for name in ("rate", "margin", "imitation"):
            if as_number(name, getattr(self, name)) < 0:
                raise ValueError(f"{name}: got {getattr(self, name)}; want 0 or more")


@dataclass(frozen=True)
class Losses:
    """Mean losses of each epoch so far, (epochs,)."""

    margin: list[float]
    imitation: list[float]


def train_head(
    cache: GridCache,
    folder: Path,
    recipe: Recipe,
    *,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> tuple[PatchedCosineHead, Losses]:
    r"""Train a head; goes on from the last epoch of an interrupted call.

    The loss is that of a recogniser on G, flattened and normalised, with the target that xCos
    imitates the cosine of the backbone:

    .. math:: CosFace(G) + imitation \cdot (xCos(A, B) - \cos(f(A), f(B)))^2

    Each batch holds two photos of everybody in it: a photo is compared with the other one, and with
    one of the next person. People with a single photo are left out.

    Args:
        cache: Grids and embeddings of the training photos.
        folder: Where checkpoint.pt goes, after every epoch.
        recipe: See :class:`Recipe`; a checkpoint of another one is refused.
        device: Where to train.
        show_progress: Show a bar over the batches of each epoch.

    Returns:
        The head, in evaluation mode and frozen, and its losses.

    Raises:
        ValueError: Too few photos for a batch, a checkpoint that is damaged or of another training,
            another process that trains there, or losses that grew beyond all numbers.

    Reference:
        Lin et al., "xCos", ACM TOMM 2021; Wang et al., "CosFace", CVPR 2018.
    """
    steps = sum(1 for _ in _batches(cache.people, recipe.batch, _rng(recipe, 0)))
    if steps == 0:
        raise ValueError(
            f"got {len(cache)} photos of {len(np.unique(cache.people))} people; want two photos "
            f"each of {recipe.batch // 2} people for one batch of {recipe.batch}"
        )
    training = _Training(cache, recipe, steps, device)
    with alone_in(folder):
        _train(training, folder / "checkpoint.pt", steps, show_progress)
    return training.head.eval().requires_grad_(False), training.losses


def _train(training: _Training, checkpoint: Path, steps: int, show_progress: bool) -> None:
    """All epochs that the checkpoint does not have yet."""
    cache, recipe = training.cache, training.recipe
    if checkpoint.exists():
        training.restore(checkpoint)
    for epoch in range(len(training.losses.margin), recipe.epochs):
        sums = np.zeros(2)
        batches = _batches(cache.people, recipe.batch, _rng(recipe, epoch))
        bar = tqdm(batches, f"epoch {epoch + 1}/{recipe.epochs}", steps, disable=not show_progress)
        for done, chosen in enumerate(bar, 1):
            sums += training.step(chosen, epoch)
            if not np.isfinite(sums).all():
                raise ValueError(
                    f"epoch {epoch + 1}: the loss is no longer a number; take a smaller rate, "
                    "margin or imitation"
                )
            margin, imitation = sums / done
            bar.set_postfix_str(f"margin {margin:.3f}, imitation {imitation:.4f}", refresh=False)
        training.losses.margin.append(float(margin))
        training.losses.imitation.append(float(imitation))
        training.save(checkpoint)


class _Training:
    """All that one step changes, so that it can be saved and restored."""

    def __init__(
        self, cache: GridCache, recipe: Recipe, steps: int, device: str | torch.device
    ) -> None:
        self.cache, self.recipe, self.device = cache, recipe, device
        _, channels, rows, columns = cache.grids.shape
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.head = PatchedCosineHead(
                channels, (rows, columns), recipe.reduced, recipe.neck
            ).to(device)
            length = recipe.reduced * rows * columns
            centres = 0.01 * torch.randn(int(cache.people.max()) + 1, length)
        self.centres = nn.Parameter(centres.to(device))
        learned = [*self.head.parameters(), self.centres]
        self.optimiser = torch.optim.AdamW(learned, recipe.rate, weight_decay=0.05)
        # Over 6 steps at least, for a rise of one step alone would divide by zero.
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.rate, max(6, recipe.epochs * steps), pct_start=0.2
        )
        self.losses = Losses([], [])

    def step(self, chosen: npt.NDArray[np.intp], epoch: int) -> tuple[float, float]:
        """One batch; the loss of the margin and that of the imitation."""
        grids = torch.from_numpy(self.cache.grids[chosen]).to(self.device).float()
        embeddings = torch.from_numpy(self.cache.embeddings[chosen]).to(self.device)
        labels = torch.from_numpy(self.cache.people[chosen]).to(self.device)
        projected = self.head.project(grids)
        grown = self.recipe.margin * min(1.0, 2 * epoch / self.recipe.epochs)
        margin = margin_loss(projected.flatten(1), self.centres, labels, grown)
        photo = torch.arange(len(chosen), device=self.device)
        first, second = photo.repeat(2), torch.cat([photo ^ 1, (photo + 2) % len(chosen)])
        xcos = self.head.compare(projected[first], projected[second]).score
        imitation = F.mse_loss(xcos, (embeddings[first] * embeddings[second]).sum(1))
        self.optimiser.zero_grad()
        loss = margin + self.recipe.imitation * imitation
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.schedule.step()
        return margin.item(), imitation.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint that is whole, whenever the process ends."""
        state = {
            "recipe": asdict(self.recipe),
            "people": len(self.centres),
            "head": self.head.state_dict(),
            "centres": self.centres.data,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "losses": asdict(self.losses),
        }
        save_atomically(state, path)

    def restore(self, path: Path) -> None:
        """Go back to a checkpoint of the same training."""
        with reading(path):
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            before = state["recipe"] | {"people": state["people"]}
        now = asdict(self.recipe) | {"people": len(self.centres)}
        refuse_another(path, "a training", before, now)
        with reading(path):
            self.head.load_state_dict(state["head"])
            self.centres.data.copy_(state["centres"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.losses = Losses(**state["losses"])


def _rng(recipe: Recipe, epoch: int) -> np.random.Generator:
    return np.random.default_rng([recipe.seed, epoch])


def _batches(
    people: IntArray, size: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.intp]]:
    """Photos in batches, each photo at most once: 2k and 2k + 1 of a batch show one person."""
    shuffled = rng.permutation(len(people))
    by_person = shuffled[np.argsort(people[shuffled], kind="stable")]
    twos = []
    for photos in np.split(by_person, np.flatnonzero(np.diff(people[by_person])) + 1):
        twos += [photos[k : k + 2] for k in range(0, len(photos) - 1, 2)]
    order = rng.permutation(len(twos))
    for start in range(0, len(twos) - size // 2 + 1, size // 2):
        yield np.concatenate([twos[k] for k in order[start : start + size // 2]])
