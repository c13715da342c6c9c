"""What is looked at: pictures of pairs and maps, tables, figures, and the page of a run."""

from captum_fv.report.calibration_figure import plot_calibration
from captum_fv.report.links import plot_links
from captum_fv.report.numbered_faces import number_faces
from captum_fv.report.pair_document import PairDocument
from captum_fv.report.pair_page import pair_frame_html, pair_page_html, write_pair_page
from captum_fv.report.panel import plot_document
from captum_fv.report.pictures import plot_dpr, plot_pair
from captum_fv.report.significance import plot_significance
from captum_fv.report.write import write_report

__all__ = [
    "PairDocument",
    "number_faces",
    "pair_frame_html",
    "pair_page_html",
    "plot_calibration",
    "plot_document",
    "plot_dpr",
    "plot_links",
    "plot_pair",
    "plot_significance",
    "write_pair_page",
    "write_report",
]
