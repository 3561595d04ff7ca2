"""The environment that a user's commands run in."""

import os

_OUTSIDE = dict(os.environ)


def environment(**changes: str) -> dict[str, str]:
    """That of the tests as they began, without what would send results or Ray elsewhere."""
    elsewhere = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    return {name: value for name, value in _OUTSIDE.items() if name not in elsewhere} | changes
