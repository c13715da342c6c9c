"""`captum-fv methods`: what can be named after --methods, what it costs and who published it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from captum_fv.attr.method_notes import describe_methods

HELP = "list the attribution methods, their cost and source"
DESCRIPTION = """
List the attribution methods by the name that --methods takes: what their maps show, what they cost
for a pair of 112x112, and who published them."""


def add(parser: ArgumentParser) -> None:
    """It has no options."""


def run(options: Namespace) -> None:
    """Print the list."""
    print(describe_methods())
