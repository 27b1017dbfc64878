"""The command line: a table of stages, in the order of the workflow.

Heavy imports happen inside a command: torch loads only where a network runs.
"""

from lgdnet.commands import begin, media, streams, ensemble, use, cluster, look  # isort: skip  # the order of `--help`
from lgdnet.commands.table import app

__all__ = ["app", "begin", "cluster", "ensemble", "look", "media", "streams", "use"]
