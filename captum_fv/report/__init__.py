"""What is looked at: pictures of pairs and maps, tables, figures, and the page of a run."""

from captum_fv.report.links import plot_links
from captum_fv.report.pictures import plot_dpr, plot_pair
from captum_fv.report.significance import plot_significance
from captum_fv.report.write import write_report

__all__ = ["plot_dpr", "plot_links", "plot_pair", "plot_significance", "write_report"]
