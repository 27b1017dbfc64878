"""report.html: a finished challenge on one page that needs nothing but a browser."""

from lgdnet.report.challenge import PUBLISHED, Finished, read_finished
from lgdnet.report.page import render
from lgdnet.report.sections import all_sections

__all__ = ["PUBLISHED", "Finished", "all_sections", "read_finished", "render"]
