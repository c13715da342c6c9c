"""NumPy arrays by what they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Image = npt.NDArray[np.uint8]
"""One photo: (H, W, 3) uint8, RGB."""
