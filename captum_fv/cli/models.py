"""`captum-fv models`: what loads by name, and where its checkpoint is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from captum_fv.models import describe_models

HELP = "list the models that load by name"
DESCRIPTION = """
List the models that load by name: what they take, their licences, and where their authors publish
the checkpoints."""


def add(parser: ArgumentParser) -> None:
    """It has no options."""


def run(options: Namespace) -> None:
    """Print the list."""
    print(describe_models())
