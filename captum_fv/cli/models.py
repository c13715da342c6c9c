"""`captum-fv models`: what loads by name, and where its checkpoint is."""

from __future__ import annotations

from argparse import Namespace

from captum_fv.cli.options import Subparsers
from captum_fv.models import describe_models


def add(subparsers: Subparsers) -> None:
    """The command, which has no options."""
    parser = subparsers.add_parser(
        "models",
        help="list the models that load by name",
        description="List the models that load by name: what they take, their licences, and where "
        "their authors publish the checkpoints.",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> None:
    """Print the list."""
    print(describe_models())
