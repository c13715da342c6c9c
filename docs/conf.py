"""The documentation site: `make docs`. The pages are the repository's own Markdown files.

The source folder is the repository itself, so that the links between pages are those that work on
GitHub. Two kinds of page are written here before each build: the commands' help, and every public
name with its docstring.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from argparse import ArgumentParser, _SubParsersAction
from pathlib import Path

import latex2mathml.converter
from docutils.nodes import Element, SkipNode
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "docs" / "_generated"
sys.path.insert(0, str(ROOT))

from captum_fv import _ROOMS, __version__  # noqa: E402
from captum_fv.cli import build_parser  # noqa: E402

project = "captum_fv"
author = "the captum_fv authors"
project_copyright = f"2026, {author}"
version = release = __version__
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/**.md", "*.md"]
exclude_patterns = ["docs/description.md"]  # the index's page of the package
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_math_renderer = "mathml"
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.header"]
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"captum_fv {__version__}"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1b7837", "color-brand-content": "#1b7837"},
    "dark_css_variables": {"color-brand-primary": "#7fbf7b", "color-brand-content": "#7fbf7b"},
}


def setup(app: Sphinx) -> None:
    """Formulas as MathML, which browsers draw themselves: no script from elsewhere is loaded."""

    def draw(writer: HTML5Translator, node: Element, display: str) -> None:
        writer.body.append(latex2mathml.converter.convert(node.astext(), display=display))
        raise SkipNode

    app.add_html_math_renderer(
        "mathml",
        (lambda writer, node: draw(writer, node, "inline"), None),
        (lambda writer, node: draw(writer, node, "block"), None),
    )


def write_commands() -> None:
    """What every command says under --help."""
    parser = build_parser()
    lines = ["# Commands", "", "```text", parser.format_help().rstrip(), "```"]
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            commands: dict[str, ArgumentParser] = action.choices
            for name, command in commands.items():
                lines += ["", f"## captum-fv {name}", "", "```text"]
                lines += [command.format_help().rstrip(), "```"]
    (GENERATED / "commands.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_reference() -> None:
    """A page for each room, with every public name."""
    for room in _ROOMS:
        module = importlib.import_module(f"captum_fv.{room}")
        names = getattr(module, "__all__", [])
        if not names:
            continue
        lines = [f"# captum_fv.{room}", "", "```{eval-rst}", f".. module:: captum_fv.{room}", ""]
        for name in names:
            found = getattr(module, name)
            if inspect.isclass(found):
                lines += [f".. autoclass:: {name}", "   :members:", "   :show-inheritance:", ""]
            elif callable(found):
                lines += [f".. autofunction:: {name}", ""]
            else:
                lines += [f".. py:data:: {name}", ""]  # its own docstring would be its type's
        lines += ["```"]
        (GENERATED / f"{room}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


GENERATED.mkdir(exist_ok=True)
write_commands()
write_reference()
