"""What commands print: harmless to a terminal, and no failure where nobody reads it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, colours it or turns its text round; not tab and line feed."""


def plain(text: str) -> str:
    r"""Text with terminal controls spelled out, as they may stand in names of files.

    >>> plain("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """The same, in one line."""
    return plain(" ".join(text.split()))


class _Console:
    """A stream that prints what it can, and goes on when its reader is gone, as after `| head`."""

    def __init__(self, stream: TextIO, escape: bool) -> None:
        self._stream, self._escape = stream, escape

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        shown = plain(text) if self._escape else text
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        except BrokenPipeError:
            self._let_go()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._let_go()
        except OSError:  # as on a full disk; what is left must not fail once more at the end
            self._let_go()
            raise

    def _let_go(self) -> None:
        """Let what is printed from now on go nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def on_console() -> Iterator[None]:
    """Print on such streams; progress bars on stderr keep the controls that they need."""
    out, errors = _Console(sys.stdout, escape=True), _Console(sys.stderr, escape=False)
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            yield
        finally:
            out.flush()
            errors.flush()
