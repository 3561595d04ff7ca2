"""Keys of a launch to a store in the cloud, for nodes that have none of their own.

They go as an object: what is in a runtime environment, Ray's agents write into a log that anyone on
the machine can read.
"""

import os
from collections.abc import Mapping

KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
)


def keys_here() -> dict[str, str]:
    """The keys of this process."""
    return {name: os.environ[name] for name in KEYS if name in os.environ}


def take_up(keys: Mapping[str, str]) -> None:
    """Have this process use them, if it has none."""
    if not keys.keys() & os.environ.keys():
        os.environ.update(keys)
