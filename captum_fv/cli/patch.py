"""`captum-fv patch`: a lossless Patch set in a folder."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from captum_fv.cli.inputs import load_patched
from captum_fv.cli.options import add_data_options
from captum_fv.data.patch_folder import write_patch_set

HELP = "build a lossless Patch set with its manifest"
DESCRIPTION = """
Patch image A of every pair by the Patch-LFW recipe: from the partner in an impostor pair, from
somebody else in a genuine one. Writes PNG files and manifest.json."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_data_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")


def run(options: Namespace) -> None:
    """Patch the pairs and write them."""
    patched = load_patched(options)
    write_patch_set(patched, options.out, show_progress=True)
    print(f"wrote {len(patched)} pairs and manifest.json to {options.out}")
