"""Everything that was trained, on disk, addressed by id: the record of truth.

    store.json                          the format of all below
    results/3f/3f0c....json             a finished training
    tickets/8a/8a41....safetensors      a ticket's mask, packed
    weights/3f/3f0c....safetensors      a whole network: what a dense one was trained to, or what
                                        pruned ones start from
    checkpoints/3f/3f0c....safetensors  the state of a running training

A file is written beside its place, synced and then moved there, so that it is either whole or
absent. What equal ids describe is equal, so two writers of one file do no harm.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from pydantic_core import from_json, to_json

from tune_app.plan import FORMAT, Stored

SUFFIXES = {
    "results": ".json",
    "tickets": ".safetensors",
    "weights": ".safetensors",
    "checkpoints": ".safetensors",
}
STORED = ("results", "tickets", "weights")
"""What a plan asks for; a checkpoint is gone when its training has a result."""


class StoreError(Exception):
    """The store cannot be used; says why, and what to do."""


class Store:
    """A directory of results, tickets and weights."""

    def __init__(self, root: Path) -> None:
        """Look at the store at `root`, which need not exist yet.

        Raises:
            StoreError: when what is there is something else, or of another format.
        """
        self.root = root
        marker = root / "store.json"
        try:
            written = json.loads(marker.read_text())["format"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{marker}: cannot be read: {error}") from None
        if written != FORMAT:
            raise StoreError(
                f"{marker}: written in format {written}, this version reads and writes format "
                f"{FORMAT}; keep it for the version that wrote it and give another --out"
            )

    def create(self) -> None:
        """Make the store, and see that it can be written.

        Raises:
            StoreError: when it cannot.
        """
        try:
            for kind in SUFFIXES:
                (self.root / kind).mkdir(parents=True, exist_ok=True)
            write_atomically(self.root / "store.json", json.dumps({"format": FORMAT}).encode())
        except OSError as error:
            raise StoreError(f"{self.root}: cannot be written: {error.strerror}") from None

    def stored(self, among: Collection[str] | None = None) -> Stored:
        """The ids of all that is there, or of those among `among`."""
        if among is None:
            return Stored(*(frozenset(self._ids(kind)) for kind in STORED))
        return Stored(
            *(frozenset(id for id in among if self._path(kind, id).exists()) for kind in STORED)
        )

    def result(self, id: str) -> dict[str, Any] | None:
        """A finished training, or None.

        Raises:
            StoreError: when its file is damaged.
        """
        data = self._get("results", id)
        try:
            return None if data is None else from_json(data)
        except ValueError as error:
            path = self._path("results", id)
            raise StoreError(
                f"{path}: is damaged ({error}); delete it, and it is trained again"
            ) from None

    def put_result(self, result: Mapping[str, Any]) -> None:
        self._put("results", result["id"], as_line(result))

    def ticket(self, id: str) -> bytes | None:
        """A packed mask, or None."""
        return self._get("tickets", id)

    def put_ticket(self, id: str, packed: bytes) -> None:
        self._put("tickets", id, packed)

    def weights(self, id: str) -> dict[str, np.ndarray] | None:
        """A network's parameters and buffers by name, or None.

        Raises:
            StoreError: when their file is damaged.
        """
        data = self._get("weights", id)
        try:
            return None if data is None else safetensors.numpy.load(data)
        except safetensors.SafetensorError as error:
            path = self._path("weights", id)
            raise StoreError(
                f"{path}: is damaged ({error}); delete it, and it is trained again"
            ) from None

    def put_weights(self, id: str, weights: Mapping[str, np.ndarray]) -> None:
        self._put("weights", id, safetensors.numpy.save(dict(weights)))

    def checkpoint(self, id: str) -> bytes | None:
        """The state of a running training, or None."""
        return self._get("checkpoints", id)

    def put_checkpoint(self, id: str, state: bytes) -> None:
        self._put("checkpoints", id, state)

    def drop_checkpoint(self, id: str) -> None:
        """Forget the state of a training, if there is one."""
        self._path("checkpoints", id).unlink(missing_ok=True)

    def _path(self, kind: str, id: str) -> Path:
        return Path(self._name(kind, id))

    def _name(self, kind: str, id: str) -> str:
        return f"{self.root}/{kind}/{id[:2]}/{id}{SUFFIXES[kind]}"

    def _get(self, kind: str, id: str) -> bytes | None:
        try:
            # By name: of 100,000 results, a Path each takes as long as reading them.
            with open(self._name(kind, id), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _put(self, kind: str, id: str, data: bytes) -> None:
        path = self._path(kind, id)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, data)

    def _ids(self, kind: str) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError):
            for folder in os.scandir(self.root / kind):
                for file in os.scandir(folder):
                    if file.name.endswith(SUFFIXES[kind]):
                        yield file.name.removesuffix(SUFFIXES[kind])


def as_line(result: Mapping[str, Any]) -> bytes:
    """A result, or anything else of JSON, as UTF-8 on one line; four times as fast as `json`."""
    return to_json(result, inf_nan_mode="constants")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is whole, durable, or not there.

    Raises:
        OSError: when the disk is full or cannot be written; nothing is left behind.
    """
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
