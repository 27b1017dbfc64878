"""What goes wrong with flow, in words for the person who ran it."""

from lgdnet.errors import InputError


class FlowError(InputError):
    """A video, a setting or a file that cannot become flow, or is not the flow that was asked for."""
