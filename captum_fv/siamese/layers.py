"""What a layer of the backbone gives, taken from the forward that is made anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.siamese.backbone import is_exported

FINEST = 5
"""A grid that shows where things are has a cell for every so many pixels, or more."""


@dataclass
class SeenGrids:
    """Grids (N, c, h, w) that layers gave in the last forward, by name, in their order.

    Args:
        size: (H, W) of the images.
        layer: The one layer whose grid is wanted; None: the last that is fine enough.
        coarse: In place of that the last of all, however coarse.
    """

    size: tuple[int, int]
    layer: str | None = None
    coarse: bool = False
    seen: dict[str, Tensor] = field(default_factory=dict)

    def note(self, name: str, output: Any) -> None:
        """Keep what a layer gave, if it is a grid of such images."""
        if self.layer is not None and name != self.layer:
            return
        if isinstance(output, Tensor) and output.ndim == 4 and output.is_floating_point():
            self.seen.pop(name, None)  # a layer that is called twice counts as called last
            self.seen[name] = output

    @property
    def grid(self) -> Tensor:
        """The wanted grid.

        Raises:
            ValueError: No layer gave one.
        """
        found = self._last_coarse if self.coarse else self._last_fine
        chosen = found() if self.layer is None else self.seen.get(self.layer)
        if chosen is None:
            wanted = "no layer" if self.layer is None else repr(self.layer)
            fine = f" of {self.size[0] // FINEST}x{self.size[1] // FINEST} or finer"
            raise ValueError(
                f"layer: {wanted} gave a grid (N, c, h, w){'' if self.coarse else fine}; name a "
                "layer that does. A scripted program shows none of its layers"
            )
        return chosen

    def _last_fine(self) -> Tensor | None:
        """The last fine grid before the first coarse one.

        A recogniser's grids only get coarser; what looks finer later is the attention of a
        transformer, and what has one cell alone is a weight for each channel.
        """
        last = None
        (height, width) = self.size
        for grid in self.seen.values():
            rows, columns = grid.shape[2:]
            # Channels last, (N, h, w, c), has other proportions than the images.
            if rows == 1 or rows * width != columns * height:
                continue
            if rows * FINEST < height:
                break
            last = grid
        return last

    def _last_coarse(self) -> Tensor | None:
        """The last grid that is no finer than those before it, for what is finer is attention."""
        last, rows_before = None, self.size[0]
        (height, width) = self.size
        for grid in self.seen.values():
            rows, columns = grid.shape[2:]
            # Seven rows of an odd height stand for more of it than seven columns of the width.
            like_images = abs(rows * width - columns * height) < max(height, width)
            if 1 < rows <= rows_before and columns > 1 and like_images:
                last, rows_before = grid, rows
        return last


@contextmanager
def seen_grids(
    backbone: nn.Module,
    size: tuple[int, int],
    layer: nn.Module | str | None = None,
    coarse: bool = False,
) -> Iterator[SeenGrids]:
    """Around a forward of the backbone: what its layers give. Nothing is left behind.

    Args:
        backbone: The module, or an exported program, which is run node by node meanwhile.
        size: (H, W) of the images.
        layer: A module of the backbone, its name, or a node's name in an exported program; None:
            the last whose grid has a cell for every 5 pixels.
        coarse: In place of that the last grid of all, however coarse.

    Raises:
        ValueError: A layer that is not there.
    """
    names = {name: module for name, module in backbone.named_modules() if name}
    programs = [module for module in backbone.modules() if is_exported(module)]
    if isinstance(layer, nn.Module):
        named = [name for name, module in names.items() if module is layer]
        layer = named[0] if named else type(layer).__name__
    nodes = {node.name for program in programs for node in program.graph.nodes}  # type: ignore[union-attr]
    if layer is not None and layer not in names.keys() | nodes:
        raise ValueError(f"layer: got {layer!r}; want a module of the backbone, or its name")
    grids = SeenGrids(size, layer, coarse)
    with ExitStack() as undo:
        for name, module in names.items():
            if not isinstance(module, torch.jit.ScriptModule) and not programs:
                handle = module.register_forward_hook(_noting(grids, name))
                undo.callback(handle.remove)
        for program in programs:
            program.forward = _NodeByNode(program, grids).run  # type: ignore[arg-type]
            undo.callback(delattr, program, "forward")
        yield grids


def _noting(grids: SeenGrids, name: str) -> Any:
    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        grids.note(name, output)

    return note


class _NodeByNode(torch.fx.Interpreter):
    """Runs an exported program and notes what each of its nodes gives."""

    def __init__(self, program: torch.fx.GraphModule, grids: SeenGrids) -> None:
        super().__init__(program)
        self.grids = grids

    def run_node(self, n: torch.fx.Node) -> Any:
        output = super().run_node(n)
        if n.op not in ("placeholder", "get_attr"):  # neither images nor weights
            self.grids.note(n.name, output)
        return output
