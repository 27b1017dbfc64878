"""report.html: a finished challenge on one page that needs nothing but a browser."""

from lgdnet.report.challenge import Finished, read_finished
from lgdnet.report.page import render
from lgdnet.report.sections import all_sections

__all__ = ["Finished", "all_sections", "read_finished", "render"]
