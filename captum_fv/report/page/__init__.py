"""The report's page: one self-contained HTML file, with a gallery of pairs."""

from captum_fv.report.page.render import Pictures, render_page

__all__ = ["Pictures", "render_page"]
