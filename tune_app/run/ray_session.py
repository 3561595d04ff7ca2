"""This process's connection to Ray: a cluster's, or a Ray of its own on this machine."""

import logging
import math
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray

from tune_app.credentials import hide_credentials
from tune_app.run import ray_settings
from tune_app.run.cluster import Watch
from tune_app.sweep.resources import Resources
from tune_app.sweep.yaml_source import SpecError
from tune_app.words import plural

TIMEOUT_S = 10.0
"""How long a cluster's head may take to answer at all."""

MAX_TMPDIR = 30
"""A socket's path has at most 107 characters, of which Ray takes 64, and ours 13."""

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


class ClusterError(Exception):
    """The cluster cannot go on; says what to change."""


@contextmanager
def ray_session(
    resources: Mapping[str, Resources], say: Callable[[str], None]
) -> Iterator[int | None]:
    """Connect to RAY_ADDRESS, or start Ray on this machine.

    Args:
        resources: of trials, by the key that says so.
        say: told of the nodes of a cluster.

    Yields:
        The number of this machine's cores; None for a cluster, where it may change.

    Raises:
        SpecError: when no cluster answers, or this machine cannot hold a trial.
    """
    address = ray_settings.cluster_address()
    if address is None:
        with _own_ray(say):
            yield _cores(resources)
        return
    with _handlers_kept():
        say(f"cluster: {connect(address, **_QUIET)}")
    _silence()
    try:
        with Watch(resources.values(), say):
            yield None
    finally:
        ray.shutdown()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Signals end a launch as it says; Ray, as it starts, puts handlers of its own in their place.

    Only where a program may set handlers at all: in its main thread.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)


@contextmanager
def _own_ray(say: Callable[[str], None]) -> Iterator[None]:
    """A Ray in a directory of its own, which goes with it.

    Ray's common directory may be another user's, and each launch would leave a session in it.
    """
    # Short, since a socket's path has at most 107 characters.
    parent = os.environ.get("RAY_TMPDIR", "/tmp")
    if len(parent) > MAX_TMPDIR:
        raise SpecError(
            [f"RAY_TMPDIR: must be at most {MAX_TMPDIR} long, for Ray's sockets, got {parent}"]
        )
    place = tempfile.mkdtemp(prefix="ray_", dir=parent)
    free = _free_shared_memory()
    try:
        with _handlers_kept():
            ray.init(address="local", include_dashboard=False, _temp_dir=place, **_QUIET)
        _silence()
        wanted = ray.cluster_resources()["object_store_memory"]
        if free < wanted:  # Ray's own warning is silenced
            say(
                f"/dev/shm has {free / 1e6:,.0f} MB: Ray shares data sets and masks through files, "
                f"which is slower; in a container: --shm-size={math.ceil(1.1 * wanted / 2**30)}g"
            )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(place, ignore_errors=True)


def _free_shared_memory() -> float:
    """Bytes that fit into /dev/shm; infinite on a system without it, where Ray needs none."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except FileNotFoundError:
        return math.inf


def _silence() -> None:
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _cores(resources: Mapping[str, Resources]) -> int:
    has = ray.cluster_resources()
    cpus, gpus = int(has.get("CPU", 0)), has.get("GPU", 0)
    problems = [
        f"`{key}` asks for {_words(asked)}, this machine has {cpus} and {gpus:g}"
        for key, asked in resources.items()
        if asked.cpu > cpus or asked.gpu > gpus
    ]
    if problems:
        raise SpecError(problems)
    return cpus


def _words(resources: Resources) -> str:
    """`1 CPU and 0.5 GPUs`."""
    cpus = "1 CPU" if resources.cpu == 1 else f"{resources.cpu} CPUs"
    return f"{cpus} and {plural(resources.gpu, 'GPU')}"


def connect(address: str, **options: Any) -> str:
    """Connect this process to a cluster; where that and its page are.

    Args:
        address: of its head, host:port, or `auto` for the one on this machine.
        options: of `ray.init`.

    Raises:
        SpecError: when no cluster can be reached there.
    """
    place = hide_credentials(address)
    if address != "auto":
        host, _, port = address.rpartition(":")
        if "://" in address or not host or not port.isdecimal():
            raise SpecError(
                f"{place}: must be host and port of Ray's head, such as 10.0.0.1:6379 (http://... "
                "is for --submit)"
            )
        try:  # Ray would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise SpecError(f"{place}: no Ray cluster answers there ({error})") from None
    try:
        # By the environment, which Ray prefers, and which its other processes see.
        page = ray.init(**options).dashboard_url
    except (ConnectionError, ValueError) as error:
        reason = hide_credentials(str(error)).splitlines()[0]
        raise SpecError(f"{place}: {reason} (it may want its token, in RAY_AUTH_TOKEN)") from None
    return f"Ray at {place}" + (f", its page at http://{page}" if page else "")


def num_slots(resources: Resources) -> int:
    """How many trials fit the cluster as it is now; 1 where it has no node for one yet."""
    has = ray.cluster_resources()
    fit = has.get("CPU", 0) // resources.cpu
    if resources.gpu:
        fit = min(fit, has.get("GPU", 0) // resources.gpu)
    return max(1, int(fit))
