"""The chunks of a run by stage, model and number, and the tables that they make together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captum_fv import columns
from captum_fv.columns import Table
from captum_fv.results import MAPS
from captum_fv.run_folder import RunFolder


class RunChunks:
    """What a run has measured so far.

    Args:
        folder: Where it lies.
        models, methods: Their names, in the order asked for.
    """

    def __init__(self, folder: RunFolder, models: Sequence[str], methods: Sequence[str]) -> None:
        self._folder, self._models, self._methods = folder, list(models), list(methods)

    def read(self, stage: str, model: str, number: int) -> Table | None:
        """A chunk; None if it is still to be measured."""
        return self._folder.read_chunk(self._name(stage, model, number))

    def write(self, stage: str, model: str, number: int, table: Table) -> None:
        """Keep a chunk."""
        self._folder.write_chunk(self._name(stage, model, number), table)

    def all_of(self, stage: str, model: str, count: int) -> list[Table]:
        """All chunks of a stage over pairs, in order.

        Raises:
            ValueError: One of them is gone.
        """
        return [self._need(stage, model, number) for number in range(count)]

    def maps(self, model: str, count: int) -> Table:
        """One row for each map, by method in the order asked for, and by pair."""
        parts = [part for part in self.all_of(MAPS, model, count) if len(part["method"])]
        table = columns.concatenate(parts)
        place = np.array([self._methods.index(name) for name in table["method"]], dtype=int)
        order = np.lexsort((table["pair"], place))
        return {name: values[order] for name, values in table.items()}

    def by_method(self, stage: str) -> Table:
        """The rows of a stage whose chunks are methods, labelled with model and method."""
        parts = []
        for model in self._models:
            for number, method in enumerate(self._methods):
                table = columns.labelled(self._need(stage, model, number), "method", method)
                parts.append(columns.labelled(table, "model", model))
        return columns.concatenate(parts)

    def _need(self, stage: str, model: str, number: int) -> Table:
        if (table := self.read(stage, model, number)) is None:
            name = self._name(stage, model, number)
            raise ValueError(f"{self._folder.path}: {name} is gone; the same command mends it")
        return table

    def _name(self, stage: str, model: str, number: int) -> str:
        return f"{stage}-{self._models.index(model)}-{number:06d}"
