"""The command `captum-fv`, also as `python -m captum_fv`: it can be stopped from the start on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

STOPPED = 130
"""The exit code after Ctrl-C, as shells have it."""


def main() -> int:
    """Load the commands, which takes seconds, and run one; its exit code.

    Ctrl-C while they load ends the process at once: an exception in the midst of PyTorch's imports
    would come out as any other, or as a crash.
    """
    _open_streams()
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # as of `nohup captum-fv ... &`
    if not ignored:
        signal.signal(signal.SIGINT, _stop)
    from captum_fv.cli import main as run
    from captum_fv.core.allocator import keep_freed_memory

    keep_freed_memory()
    try:
        if not ignored:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run()
    except KeyboardInterrupt:
        _stop()
        raise
    finally:
        if not ignored:
            signal.signal(signal.SIGINT, _stop)
    if code == STOPPED:
        # Python may answer Ctrl-C once more while it ends, with its signal in place of the code.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)
    return code


def _stop(*_: Any) -> None:
    os.write(2, b"captum-fv: stopped\n")
    os._exit(STOPPED)


def _open_streams() -> None:
    """Open what the caller closed (`2>&-`): else a file of ours gets its number and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main())
