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
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # it is compiled
from ray.exceptions import RayError

from tune_app.credentials import hide_credentials
from tune_app.run import ray_settings
from tune_app.run.cluster import Watch
from tune_app.run.head import Head
from tune_app.sweep.resources import Resources
from tune_app.sweep.yaml_source import SpecError
from tune_app.time_limit import TookTooLong, within
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
    resources: Mapping[str, Resources],
    say: Callable[[str], None],
    command: str = "",
    lost: Callable[[], None] | None = None,
) -> Iterator[int | None]:
    """Connect to RAY_ADDRESS, or start Ray on this machine.

    Args:
        resources: of trials, by the key that says so.
        say: told of the nodes of a cluster.
        command: goes on with the sweep.
        lost: called from a thread when the cluster's head is away for good; if not given, it is for
            Ray to end the process.

    Yields:
        The number of this machine's cores; None for a cluster, where it may change.

    Raises:
        SpecError: when no cluster answers, or this machine cannot hold a trial.
    """
    address = ray_settings.cluster_address()
    if address is None:
        say("starting Ray on this machine")
        with _own_ray(say):
            yield _cores(resources)
        return
    with _handlers_kept():
        say(f"cluster: {connect(address, **_QUIET)}")
    _silence()
    head = None
    if lost is not None:
        head = Head(ray.get_runtime_context().gcs_address, say, command, lost)
    try:
        with Watch(resources.values(), say, head):
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
    cpus = "1 CPU" if resources.cpu == 1 else f"{resources.cpu:g} CPUs"
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
    _check(address)
    try:
        # By the environment, which Ray prefers, and which its other processes see.
        page = ray.init(**options).dashboard_url
    except (ConnectionError, ValueError) as error:
        reason = hide_credentials(str(error)).splitlines()[0]
        raise SpecError(f"{place}: {reason} (it may want its token, in RAY_AUTH_TOKEN)") from None
    return f"Ray at {place}" + (f", its page at http://{page}" if page else "")


def check_cluster() -> None:
    """See that a cluster answers where RAY_ADDRESS says, if anywhere, and takes this token.

    In seconds, before anything is loaded or written.

    Raises:
        SpecError: when none does.
    """
    address = ray_settings.cluster_address()
    if address is not None:
        _check(address)


def _check(address: str) -> None:
    place = hide_credentials(address)
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise SpecError(
            f"{place}: must be host and port of Ray's head, such as 10.0.0.1:6379 (http://... "
            "is for --submit)"
        )
    try:
        is_page = _speaks_http(host.strip("[]"), int(port))
    except (OSError, OverflowError, UnicodeError) as error:
        raise SpecError(f"{place}: no Ray cluster answers there ({error})") from None
    if is_page:
        raise SpecError(
            f"{place}: a web server answers there, such as Ray's page; --address wants the port of "
            f"the head itself, such as {host}:6379, and the page is for --submit http://{place}"
        )
    try:
        with _without_rays_warnings():
            within(0.8 * TIMEOUT_S, lambda: GcsClient(address=address))
    except (RayError, RuntimeError) as error:
        reason = hide_credentials(str(error)).splitlines()[0].partition(". ")[0]
        raise SpecError(f"{place}: {reason} (its token goes into RAY_AUTH_TOKEN)") from None
    except TookTooLong:
        raise SpecError(f"{place}: what answers there is no head of a Ray cluster") from None


def _speaks_http(host: str, port: int) -> bool:
    """Whether a web server listens; the head of a cluster answers in another protocol."""
    with socket.create_connection((host, port), TIMEOUT_S / 2) as connection:
        connection.settimeout(TIMEOUT_S / 5)
        connection.sendall(f"GET /api/version HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        try:
            return connection.recv(5) == b"HTTP/"
        except OSError:  # it waits for more, or hangs up
            return False


@contextmanager
def _without_rays_warnings() -> Iterator[None]:
    """Ray's core writes beside Python what an exception says too."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def num_slots(resources: Resources) -> int:
    """How many trials fit the cluster as it is now; 1 where it has no node for one yet."""
    has = ray.cluster_resources()
    return max(1, resources.fit(has.get("CPU", 0), has.get("GPU", 0)))
