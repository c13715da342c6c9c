"""Exported programs on another device: PyTorch moves their weights, and what is left moves here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


def follow_weights(model: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    """Take the constants of programs within a model, and what they make, to where its weights are.

    A `torch.export` program has constants as plain attributes, and devices as arguments of the
    operations that make tensors; nn.Module moves neither. To be called by `_apply`, after PyTorch's
    own.

    Args:
        model: The model.
        change: What `_apply` was given: a tensor -> it on another device, or of another type.
    """
    for program in model.modules():
        if isinstance(program, torch.fx.GraphModule):
            for module in program.modules():
                for name, value in list(vars(module).items()):
                    if isinstance(value, Tensor):
                        setattr(module, name, change(value))
            _rewrite(program)


def _rewrite(program: torch.fx.GraphModule) -> None:
    """Have a program make its tensors where it has its own."""
    constants = (v for m in program.modules() for v in vars(m).values() if isinstance(v, Tensor))
    own = next(chain(program.parameters(), program.buffers(), constants), None)
    if own is None:
        return

    def here(argument: Any) -> Any:
        return own.device if isinstance(argument, torch.device) else argument

    changed = False
    for node in program.graph.nodes:
        arguments = torch.fx.node.map_aggregate((node.args, node.kwargs), here)
        if arguments != (node.args, node.kwargs):
            node.args, node.kwargs = arguments
            changed = True
    if changed:
        program.recompile()
