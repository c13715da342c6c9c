"""Everything that is known of one pair of photos, to be looked at, read and saved."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from captum_fv.attr import RegionReport
from captum_fv.attr.pair import Pair
from captum_fv.core.files import write_atomically
from captum_fv.metrics import Evidence
from captum_fv.report.pair_data import pair_record
from captum_fv.report.pair_document import PairDocument
from captum_fv.report.pair_page import pair_frame_html, write_pair_page
from captum_fv.report.panel import plot_document
from captum_fv.report.pictures import PICTURE_SUFFIXES, verdict

SAVED_AS = (".html", *PICTURE_SUFFIXES, ".json")
"""How the names of files end that an explanation is saved to."""


@dataclass(frozen=True, eq=False, repr=False)
class PairExplanation:
    """Why two photos match, or do not.

    In a notebook it shows itself as the page that `save("pair.html")` writes.

    Args:
        document: All that the page shows: the photos, the aligned faces, the maps as they are
            painted, the regions, the sentences.
        maps: Name of a method -> its maps of A and of B as the method gave them, (1, 3, H, W) each
            for aligned faces of H x W; positive supports "same person".
        regions: What each region of the face adds, in cosine, with the links between regions
            (`.rows`, `.interactions`); None where that was not asked.
    """

    document: PairDocument
    maps: Mapping[str, Pair]
    regions: RegionReport | None

    @property
    def score(self) -> float:
        """The cosine of the two aligned faces, in [-1, 1]."""
        return self.document.score

    @property
    def threshold(self) -> float:
        """The cosine from which a pair matches."""
        return self.document.threshold

    @property
    def matches(self) -> bool:
        """Whether the model says "same person"."""
        return self.document.matches

    @property
    def evidence(self) -> Evidence | None:
        """How strong the score is, as a likelihood ratio; None without a calibration."""
        return self.document.evidence

    def save(self, path: str | Path) -> Path:
        """Write the page (.html), a picture (.png, .jpg, .pdf, .svg), or the figures (.json).

        Returns:
            The path.

        Raises:
            ValueError: A name that ends in none of these.
        """
        path = check_saved_as(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".html":
            return write_pair_page(self.document, path)
        if path.suffix.lower() == ".json":
            content = json.dumps(pair_record(self.document), indent=1, allow_nan=False).encode()
        else:
            buffer = io.BytesIO()
            kind = path.suffix.lower().removeprefix(".")
            plot_document(self.document).savefig(buffer, dpi=150, format=kind)
            content = buffer.getvalue()
        write_atomically(path, content)
        return path

    def sentences(self) -> tuple[str, ...]:
        """The answer, the evidence, and each region in words."""
        document = self.document
        evidence = () if document.evidence is None else (document.evidence.sentence,)
        return (*document.summary, *evidence, *(region.sentence for region in document.regions))

    def __repr__(self) -> str:
        names = " and ".join(photo.name for photo in self.document.photos)
        return f"PairExplanation of {names}: {verdict(self.score, self.threshold)}"

    def _repr_html_(self) -> str:
        return pair_frame_html(self.document)


def check_saved_as(path: str | Path) -> Path:
    """The path, if `PairExplanation.save` can write to it."""
    path = Path(path)
    if path.is_dir() or path.suffix.lower() not in SAVED_AS:
        raise ValueError(
            f"{path} is no name for a page, a picture or figures; write one that ends in "
            f"{', '.join(SAVED_AS)}"
        )
    return path
