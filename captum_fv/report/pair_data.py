"""What is said of one pair as plain data, which JSON holds and the page's script reads."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from captum_fv.report.pair_document import MethodView, PairDocument, PhotoView

_PICTURES = ("photo", "crop")


def pair_record(document: PairDocument) -> dict[str, Any]:
    """The document without its pictures, as dictionaries, lists, texts and numbers.

    Keys are the names of its fields. Besides: `matches`; each photo's `size` and `crop_size`, (H,
    W). Maps are in units of their `limit`, to three decimals: 1 is full colour.
    """
    return {**_plain(document), "matches": document.matches}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        record = {
            field.name: _plain(getattr(value, field.name))
            for field in fields(value)
            if field.name not in _PICTURES
        }
        if isinstance(value, PhotoView):
            record["size"] = list(value.photo.shape[:2])
            record["crop_size"] = list(value.crop.shape[:2])
        if isinstance(value, MethodView):
            record["maps"] = [np.round(some / value.limit, 3).tolist() for some in value.maps]
        return record
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        # 0 and 1, since "false" for every other pixel would fill the page.
        return (value.astype(int) if value.dtype == bool else value).tolist()
    return value.item() if isinstance(value, np.generic) else value
