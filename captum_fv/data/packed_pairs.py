"""insightface's .bin files, which hold photos and labels, and are pickles of nothing else."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

_OPCODES = re.compile(
    r"PROTO|FRAME|MARK|STOP|MEMOIZE|(LONG_)?BIN(PUT|GET)|PUT|GET|EMPTY_(LIST|TUPLE)|LIST|APPENDS?"
    r"|TUPLE[123]?|NEW(TRUE|FALSE)|INT|(SHORT_)?BINBYTES8?|(SHORT_)?(BIN)?STRING"
)


def read_packed_pairs(path: Path) -> tuple[list[bytes], list[bool]]:
    """The photos of a .bin, encoded and two for each pair, and which pairs are genuine.

    No object is ever made of it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else, or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pairs file")
    content = path.read_bytes()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            far = "PUT" in opcode.name and int(argument or 0) > len(content)
            if not _OPCODES.fullmatch(opcode.name) or far:
                raise ValueError(
                    f"it holds more than bytes, lists, tuples and booleans ({opcode.name})"
                )
        bins, labels = _Plain(io.BytesIO(content), encoding="bytes").load()
        if len(bins) != 2 * len(labels) or not labels or {type(one) for one in bins} != {bytes}:
            raise ValueError(f"want two photos for each label, got {len(bins)} and {len(labels)}")
        return list(bins), [bool(label) for label in labels]
    except Exception as error:  # damaged pickles fail anywhere
        raise ValueError(f"{path}: not insightface's photos and labels ({error})") from error


class _Plain(pickle.Unpickler):
    """Finds no class and no function; what would ask for one is refused before, too."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"it asks for {module}.{name}")
