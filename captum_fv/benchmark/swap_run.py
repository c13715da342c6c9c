"""The swap game of methods on one model: face by face into a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from captum_fv.attr.atlas import both_sides, face_regions
from captum_fv.attr.methods import Builder, Method, expand_names, method_builder
from captum_fv.benchmark import columns, provenance
from captum_fv.benchmark.columns import Table, read_table
from captum_fv.benchmark.folder import RunFolder
from captum_fv.benchmark.intact import check_untouched, state_of
from captum_fv.benchmark.maps import maps_of_a, reads_patches
from captum_fv.benchmark.results import read_config
from captum_fv.core.arrays import BoolArray, Image
from captum_fv.core.checks import as_number
from captum_fv.data.pairs import in_batches, to_tensor
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.data.swaps import SwappedFaces
from captum_fv.metrics.swap import SwapGameResult, can_be_told, swap_game
from captum_fv.siamese.model import SiameseCosine, check_siamese

CHUNK = 4
"""Faces measured together, and lost if the run is killed."""

SWAPS = "swaps"
"""The table of a run: one row for each method and triplet."""


@dataclass(frozen=True)
class SwapGameRun:
    """What a run found.

    Args:
        faces: How many faces there were.
        methods: Name -> the game over all triplets that the model could play, in the order asked
            for; the triplets of all methods are the same.
    """

    faces: int
    methods: dict[str, SwapGameResult]

    @property
    def played(self) -> dict[str, int]:
        """Part -> on how many faces the model could play it."""
        first = next(iter(self.methods.values()))
        names, counts = np.unique(first.parts, return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}

    @classmethod
    def load(cls, folder: str | Path) -> SwapGameRun:
        """Read a finished run folder.

        Raises:
            FileNotFoundError: No run, or one that has not ended.
            ValueError: A damaged one, or that of another benchmark.
        """
        folder = Path(folder)
        config, table = read_config(folder), read_table(folder / SWAPS)
        methods = {name: _result_of(name, table) for name in config["methods"]}
        return cls(config["data"]["faces"], methods)


def face_parts(size: tuple[int, int] = (112, 112)) -> dict[str, BoolArray]:
    """The regions of an aligned face by name, right and left together, each (H, W) bool.

    >>> sorted(face_parts())[:4]
    ['cheek', 'chin and jaw', 'eye', 'eyebrow']
    """
    parts = both_sides(face_regions(size))
    return {name: parts.labels == number for number, name in enumerate(parts.names)}


def play_swap_game(
    siamese: SiameseCosine,
    faces: SwappedFaces,
    methods: Sequence[str] | Mapping[str, Builder],
    threshold: float,
    out: str | Path,
    *,
    no_match: bool = False,
    seed: int = 0,
    command: str | None = None,
    show_progress: bool = False,
) -> SwapGameRun:
    """Play the swap game with several methods; the same call goes on where one stopped.

    A method is asked for two maps of the probe, with its other photo and with the twin's; what it
    says of the triplet is the first minus the second. A map that is the same for any partner says
    nothing here. Methods that are told where patches are (`oracle`) are left out.

    Args:
        siamese: The recogniser.
        faces: Faces and their twins.
        methods: Names, or name -> what builds the method for a model and its threshold.
        threshold: From which cosine on a pair matches.
        out: The run's folder.
        no_match: Only triplets whose twin is no match for the mate, as in `can_be_told`.
        seed: Of everything that methods draw; both maps of a triplet draw the same.
        command: What config.json calls the run.
        show_progress: Show a bar over the faces.

    Raises:
        TypeError: No SiameseCosine, or a threshold that is no number.
        ValueError: A method that does not fit the model, a folder of another run, or a model that
            can play no triplet.
    """
    check_siamese(siamese)
    threshold = as_number("threshold", threshold)
    if not isinstance(methods, Mapping):
        methods = {name: method_builder(name) for name in expand_names(methods)}
    built = {name: build(siamese, threshold) for name, build in methods.items()}
    built = {name: method for name, method in built.items() if not reads_patches(method)}
    if not built:
        raise ValueError(
            f"methods: {', '.join(methods) or 'none'} cannot play; want a method that is not told "
            "where patches are"
        )
    config = {
        "game": "swap",
        "command": command,
        "tables": "parquet" if columns.has_parquet() else "npz",
        "data": _identity(faces),
        **provenance.of_models({"model": siamese}),
        **provenance.of_methods({name: methods[name] for name in built}, [siamese]),
        "threshold": threshold,
        "no_match": no_match,
        "seed": seed,
    }
    folder = RunFolder(out, config).open()
    try:
        tables = []
        with tqdm(total=len(faces), unit="face", disable=not show_progress) as bar:
            for number, some in enumerate(in_batches(len(faces), CHUNK)):
                name = f"{SWAPS}-{number:06d}"
                if (table := folder.read_chunk(name)) is None:
                    parts = [
                        part
                        for k in some
                        for part in _play_face(siamese, built, faces, k, threshold, no_match, seed)
                    ]
                    table = columns.concatenate(parts) if parts else {}
                    folder.write_chunk(name, table)
                tables += [table] if table else []
                bar.update(len(some))
        if not tables:
            easier = "leave --no-match (no_match) out" if no_match else "a lower threshold"
            raise ValueError(
                f"the model plays no triplet of {len(faces)} faces: it tells no twin from its face "
                f"at a threshold of {threshold:.3f}; want more faces, or {easier}"
            )
        whole = columns.concatenate(tables)
        folder.write_table(SWAPS, whole)
    finally:
        folder.close()
    return SwapGameRun.load(out)


def _play_face(
    siamese: SiameseCosine,
    methods: Mapping[str, Method],
    faces: SwappedFaces,
    number: int,
    threshold: float,
    no_match: bool,
    seed: int,
) -> list[Table]:
    """One table for each method: a row for each part that the model can play on this face."""
    face = faces.load(number)
    masks = {part: mask for part, mask in face.masks.items() if mask.any() and not mask.all()}
    if not masks:
        return []
    device = next(siamese.parameters(), torch.empty(0)).device

    def load(*images: Image) -> torch.Tensor:
        return to_tensor(images).to(device)

    probe, mate = load(face.probe, face.mate)
    twins = load(*(face.twins[part] for part in masks))
    mate_twins = load(*(face.mate_twins[part] for part in masks))
    with torch.no_grad():
        own = siamese.embed_images(torch.stack([probe, mate]))
        theirs, others = siamese.embed_images(twins), siamese.embed_images(mate_twins)
    told = can_be_told(own[:1], theirs, own[1:], others, threshold, no_match)
    chosen = np.flatnonzero(told)
    if not len(chosen):
        return []
    rows = torch.from_numpy(chosen).to(device)
    partners = torch.cat([mate[None], mate_twins[rows]])
    probes = probe.expand_as(partners)
    # One number for all: what a method draws for a pair is the same, and falls out of the maps.
    numbers = np.full(len(partners), number)
    nowhere = torch.zeros_like(partners[:, :1], dtype=torch.bool)
    batch = PairBatch(numbers, numbers >= 0, probes, probes, partners, nowhere)
    names, stacked = np.array(list(masks)), np.stack(list(masks.values()))
    before, tables = state_of(siamese), []
    for name, maps in maps_of_a(methods, batch, seed):
        check_untouched(siamese, before, name)
        result = swap_game(
            siamese,
            probes[1:],
            twins[rows],
            others[rows] - own[1:],
            maps[:1] - maps[1:],
            names[chosen].tolist(),
            np.stack([np.roll(stacked, -k, axis=0) for k in chosen]),
            numbers[1:].tolist(),
        )
        rows_of = {key: value.T for key, value in vars(result).items()}
        tables.append({"method": np.full(len(chosen), name), **rows_of})
    return tables


def _result_of(name: str, table: Table) -> SwapGameResult:
    rows = table["method"] == name
    fields: dict[str, Any] = {
        key: table[key][rows].T for key in SwapGameResult.__dataclass_fields__
    }
    return SwapGameResult(**fields)


def _identity(faces: SwappedFaces) -> dict[str, Any]:
    """The set, and a hash of its first and last photos."""
    shown = {str(k): faces.load(k).probe for k in {0, len(faces) - 1}}
    shown |= {f"{part} twin": twin for part, twin in faces.load(0).twins.items()}
    return {"name": faces.name, "faces": len(faces), "images_sha256": columns.sha256(shown)}
