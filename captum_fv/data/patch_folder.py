"""Patch sets in a folder: lossless, with a manifest that fixes every image."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from tqdm.auto import tqdm

from captum_fv.core.arrays import Image
from captum_fv.data.images import decode_image
from captum_fv.data.pairs import PairSet, load_chosen
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.data.patches import PatchPlaces

RECIPE = "patch-lfw-1"
MANIFEST = "manifest.json"


def write_patch_set(
    patched: PatchedPairs, folder: str | Path, *, show_progress: bool = False
) -> None:
    """Writes a set as PNG files with a manifest; the folder appears only once it is whole.

    Image i in pair order is (i + 1).png, patched if it is an image A; originals/ holds the images A
    without their patches. The manifest has the recipe, its seed, the patches, donor and people of
    each pair, and the sha256 of every file.

    Raises:
        FileExistsError: There is something in the folder already.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: want a new or empty folder, there is something in it")
    partial = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    (partial / "originals").mkdir(parents=True)
    try:
        sha256 = {}
        for k in tqdm(range(len(patched)), "writing", unit="pair", disable=not show_progress):
            images = patched.patched(k), patched.partner(k), patched.original(k)
            for name, image in zip(_files(k), images, strict=True):
                PIL.Image.fromarray(image).save(partial / name)
                sha256[name] = hashlib.sha256((partial / name).read_bytes()).hexdigest()
        manifest = json.dumps(_manifest(patched) | {"sha256": sha256})
        (partial / MANIFEST).write_text(manifest, encoding="utf-8")
        if folder.exists():
            folder.rmdir()  # it is empty; not every system renames onto a folder
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_patch_set(folder: str | Path) -> PatchedPairs:
    """The set that `write_patch_set` wrote, equal to what was written; images are checked on load.

    Raises:
        FileNotFoundError: No manifest, or (on load) an image is missing.
        ValueError: A damaged or foreign manifest, or (on load) an image with another sha256.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no manifest; want a folder that write_patch_set wrote")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        places, sha256 = _places(manifest), dict(manifest["sha256"])
        name = str(manifest["name"])
        people = [person for pair in manifest["pairs"] for person in pair["people"]]
        for file in chain.from_iterable(map(_files, range(len(places)))):
            if file not in sha256:
                raise ValueError(f"it has no sha256 of {file}")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the manifest of a patch set ({error!r})") from error

    load = partial(_load_checked, folder, sha256, places.size)
    images = [file for k in range(len(places)) for file in (_files(k)[2], _files(k)[1])]
    patched = [_files(k)[0] for k in range(len(places))]
    clean = PairSet(name, people, partial(load_chosen, load, images))
    return PatchedPairs(clean, places, partial(load_chosen, load, patched))


def _load_checked(folder: Path, sha256: dict[str, str], size: tuple[int, int], file: str) -> Image:
    if not (folder / file).is_file():
        raise FileNotFoundError(f"{folder / file}: the manifest lists this image, it is gone")
    data = (folder / file).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256[file]:
        raise ValueError(
            f"{folder / file}: changed since the set was written (its sha256 is not the "
            "manifest's); write the set again"
        )
    return decode_image(data, str(folder / file), size)


def _files(k: int) -> tuple[str, str, str]:
    """Pair k: patched A, B, and A without patches."""
    return f"{2 * k + 1}.png", f"{2 * k + 2}.png", f"originals/{2 * k + 1}.png"


def _places(manifest: dict[str, Any]) -> PatchPlaces:
    if manifest["recipe"] != RECIPE:
        raise ValueError(f"its recipe is {manifest['recipe']!r}, want {RECIPE!r}")
    pairs, (height, width) = manifest["pairs"], manifest["size"]
    return PatchPlaces(
        rows=np.array([pair["rows"] for pair in pairs]),
        columns=np.array([pair["columns"] for pair in pairs]),
        donors=np.array([pair["donor"] for pair in pairs]),
        size=(height, width),
        patch=manifest["patch"],
        seed=manifest["seed"],
    )


def _manifest(patched: PatchedPairs) -> dict[str, Any]:
    places, people, genuine = patched.places, patched.clean.people, patched.genuine
    return {
        "recipe": RECIPE,
        "name": patched.clean.name,
        "seed": places.seed,
        "size": list(places.size),
        "patch": places.patch,
        "count": places.rows.shape[1],
        "pairs": [
            {
                "people": [people[2 * k], people[2 * k + 1]],
                "genuine": bool(genuine[k]),
                "donor": int(places.donors[k]),
                "rows": places.rows[k].tolist(),
                "columns": places.columns[k].tolist(),
            }
            for k in range(len(patched))
        ],
    }
