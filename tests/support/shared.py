"""Where the measuring data lies, which is never part of the project."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"

needs_shared = pytest.mark.skipif(
    not (SHARED / "golden").is_dir(),
    reason="the real faces and golden files (../shared) are not here",
)
