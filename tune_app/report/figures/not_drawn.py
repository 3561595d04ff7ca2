"""The refusal of a figure that has nothing to show."""


class NotDrawn(ValueError):
    """The sweep, or its results so far, have nothing for this figure; the message says why."""
