"""The store: everything that was trained, by id, and the record of truth.

    store.json                             the format of all below
    results/3f/3f0c....json.gz             a finished training
    failures/1c/1c07....json.gz            why a training diverged, as it would again
    contents/77/77ab....json.gz            what the data or the network of a name were
    tickets/8a/8a41....safetensors.gz      a ticket's mask, packed
    weights/3f/3f0c....safetensors.gz      a whole network: a dense one after its training, or
                                           the weights that pruned ones start from
    checkpoints/3f/3f0c....safetensors.gz  the state of a running training
    claims/                                the trainings that each launch works on (claims.py)
    damaged/                               files that were set aside

A file is whole or absent, and equal ids describe equal contents, so two writers of one file do no
harm. gzip is there for its checksum and for the name that it carries, nothing is compressed: a file
that a crash or a disk garbled, that is another's, or that cannot be read is set aside with a note,
and made again.
"""

import contextlib
import errno
import gzip
import json
import time
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json

from tune_app.credentials import hide_credentials
from tune_app.json_line import as_line
from tune_app.store.files import is_refusal, open_storage
from tune_app.store.inventory import Stored

if TYPE_CHECKING:
    import numpy as np

FORMAT = 2
"""Format of the files; the ids that they are named by have one of their own (plan/ids.py)."""

SUFFIXES = {
    "results": ".json.gz",
    "failures": ".json.gz",
    "contents": ".json.gz",
    "tickets": ".safetensors.gz",
    "weights": ".safetensors.gz",
    "checkpoints": ".safetensors.gz",
}
STORED = ("results", "tickets", "weights")
"""The kinds of files that a plan looks for; a checkpoint is gone once its training has a result."""

MARKER = "store.json"

T = TypeVar("T")

_DAMAGED = (ValueError, EOFError, zlib.error, RecursionError)
"""What reading a file raises that is not whole, or not its own."""

_HAS_NAME = 8
"""The flag of a gzip header."""

# Weights alone need numpy and safetensors. A dry run asks for no weights: they are imported where
# they are used.


class StoreError(Exception):
    """The store cannot be used; the message says why, and what to do."""


def store_place(out: Path, given: str | None) -> str:
    """The place of a launch's store: `given`, or in its `--out`.

    Raises:
        StoreError: when it is nowhere.
    """
    if given == "":
        raise StoreError("--store: must be a directory or a URL, got nothing")
    try:
        return given or str((out / "_store").absolute())
    except FileNotFoundError:
        raise StoreError("the directory that this starts from is gone; go to another") from None


class Missing(Exception):
    """A file that a training needs is not in the store, or not whole."""


class Store:
    """Results, tickets, weights and checkpoints in a directory or in the cloud.

    Every call but `create` raises StoreError when the storage refuses for longer than patience.
    """

    def __init__(self, place: str, patience_s: float = 0.0) -> None:
        """Look at the store at `place`, which need not exist yet.

        Args:
            place: a path or a URL (files.py).
            patience_s: how long storage that is full or away is tried again.

        Raises:
            StoreError: when something else is there, or a store of another format.
        """
        self.place = place
        self.patience_s = patience_s
        self.notes: list[str] = []
        """Messages for the user: files that were set aside, times that the store was waited for."""
        try:
            self.storage = open_storage(place)
            marker = self.storage.read(MARKER)
            written = None if marker is None else json.loads(marker)["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = hide_credentials(error)
            raise StoreError(f"{self._at(MARKER)}: cannot be read: {why}") from None
        if written not in (None, FORMAT):
            raise StoreError(
                f"{self._at(MARKER)}: written in format {written}, this version reads and writes "
                f"format {FORMAT}; keep it for the version that wrote it and give another --out or "
                "--store"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Without notes: a worker would tell again what is told here."""
        return vars(self) | {"notes": []}

    def create(self) -> None:
        """Make the store, and check that it can be written.

        Raises:
            StoreError: when it cannot.
        """
        try:
            self.storage.create()
            self.storage.write(MARKER, json.dumps({"format": FORMAT}).encode())
        except OSError as error:
            why = error.strerror or str(error)
            raise StoreError(hide_credentials(f"{self.place}: cannot be written: {why}")) from None

    def stored(self, among: Collection[str] | None = None) -> Stored:
        """The ids of all files, or of those in `among`; of damaged files too."""
        if among is None:
            return Stored(*(self.patiently(self._ids, kind) for kind in STORED))
        return Stored(
            *(
                frozenset(id for id in among if self.patiently(self._exists, _name(kind, id)))
                for kind in STORED
            )
        )

    def drop_checkpoints(self, done: Collection[str]) -> None:
        """Delete the checkpoints of finished trainings: a worker that outlived its launch for a
        moment may have written one after another had finished the training."""
        for id in self.patiently(self._ids, "checkpoints").intersection(done):
            self.drop_checkpoint(id)

    def damaged(self, stored: Stored) -> Stored:
        """Those tickets and weights of `stored` that are damaged; reading them sets them aside."""

        def lost(ids: frozenset[str], get: Callable[[str], object]) -> frozenset[str]:
            found = zip(ids, self.storage.map(get, ids), strict=True)
            return frozenset(id for id, what in found if what is None)

        return Stored(
            tickets=lost(stored.tickets, self.ticket), weights=lost(stored.weights, self.weights)
        )

    def result(self, id: str, parse: Callable[[bytes], T]) -> T | None:
        """A finished training's result, parsed from its line; None without one.

        `parse` raises ValueError for a line that is none.
        """
        return self._get("results", id, lambda line: parse(_of_id(line, id)))

    def results(self, ids: Iterable[str], parse: Callable[[bytes], T]) -> dict[str, T]:
        """Results by id, as `result` gives them; an id without one is left out."""
        ids = list(ids)
        found = self.storage.map(lambda id: self.result(id, parse), ids)
        return {id: result for id, result in zip(ids, found, strict=True) if result is not None}

    def peek(self, kind: str, ids: Iterable[str], parse: Callable[[bytes], T]) -> dict[str, T]:
        """Those files that can be read, parsed, by id; a damaged one is passed over and stays."""

        def read(id: str) -> T | None:
            data = self.patiently(self._read, _name(kind, id))
            if data is None:
                return None
            with contextlib.suppress(*_DAMAGED):
                content = _own(f"{kind}/{id}", data)
                return parse(_of_id(content, id) if kind == "results" else content)
            return None

        ids = list(ids)
        found = zip(ids, self.storage.map(read, ids), strict=True)
        return {id: content for id, content in found if content is not None}

    def put_result(self, id: str, line: bytes) -> None:
        self._put("results", id, line)

    def failures(self, ids: Collection[str]) -> dict[str, str]:
        """Reasons of the trainings that diverged, by id."""
        there = self.patiently(self._ids, "failures").intersection(ids)
        read = {id: self._get("failures", id, partial(_reason, id=id)) for id in there}
        return {id: reason for id, reason in read.items() if reason is not None}

    def put_failure(self, id: str, reason: str) -> None:
        self._put("failures", id, as_line({"id": id, "reason": reason}))

    def contents(self) -> list[dict[str, Any]]:
        """What was written of the contents of data sets and networks (run/identity.py)."""
        ids = self.patiently(self._ids, "contents")
        read = (self._get("contents", id, _content) for id in sorted(ids))
        return [content for content in read if content is not None]

    def put_content(self, id: str, content: Mapping[str, Any]) -> None:
        self._put("contents", id, as_line(content))

    def ticket(self, id: str) -> bytes | None:
        """A packed mask as it was put, or None."""
        from lt_core.packed_mask import PackedMask

        def checked(data: bytes) -> bytes:
            PackedMask.from_bytes(data)
            return data

        return self._get("tickets", id, checked)

    def put_ticket(self, id: str, packed: bytes) -> None:
        self._put("tickets", id, packed)

    def weights(self, id: str) -> dict[str, "np.ndarray"] | None:
        """A network's parameters and buffers by name, or None."""
        import safetensors
        import safetensors.numpy

        def parse(data: bytes) -> dict[str, "np.ndarray"]:
            try:
                return safetensors.numpy.load(data)
            except safetensors.SafetensorError as error:
                raise ValueError(f"no safetensors: {error}") from None

        return self._get("weights", id, parse)

    def put_weights(self, id: str, weights: Mapping[str, "np.ndarray"]) -> None:
        import safetensors.numpy

        self._put("weights", id, safetensors.numpy.save(dict(weights)))

    def checkpoint(self, id: str, parse: Callable[[bytes], T]) -> T | None:
        """The state of a running training, or None; `parse` as of `result`."""
        return self._get("checkpoints", id, parse)

    def put_checkpoint(self, id: str, state: bytes) -> None:
        self._put("checkpoints", id, state)

    def drop_checkpoint(self, id: str) -> None:
        """Delete the state of a training, if there is one."""
        self.patiently(self.storage.delete, _name("checkpoints", id))

    def _get(self, kind: str, id: str, parse: Callable[[bytes], T]) -> T | None:
        """A file's content, parsed; None where there is none, or none that is whole and its own."""
        data = self.patiently(self._read, _name(kind, id))
        if data is None:
            return None
        try:
            return parse(_own(f"{kind}/{id}", data))
        except _DAMAGED as error:
            self.set_aside(kind, id, " ".join(str(error).split()))
            return None

    def set_aside(self, kind: str, id: str, why: str) -> None:
        """Move a file that cannot be used out of the way, and note it."""
        name, aside = _name(kind, id), f"damaged/{kind}-{id}-{uuid.uuid4().hex[:8]}"
        self.patiently(self.storage.move, name, aside)
        self.notes.append(
            f"{self._at(name)} is damaged ({why}): set aside as {aside}, to be made again"
        )

    def _put(self, kind: str, id: str, data: bytes) -> None:
        self.patiently(self._write, _name(kind, id), _packed(f"{kind}/{id}", data))

    def _ids(self, kind: str) -> frozenset[str]:
        suffix = SUFFIXES[kind]
        names = (name.rpartition("/")[2] for name in self.storage.names(kind))
        return frozenset(name.removesuffix(suffix) for name in names if name.endswith(suffix))

    def _read(self, name: str) -> bytes | None:
        data = self.storage.read(name)
        if data is None:
            self._see_that_it_is_there()
        return data

    def _write(self, name: str, data: bytes) -> None:
        self._see_that_it_is_there()
        self.storage.write(name, data)

    def _exists(self, name: str) -> bool:
        if self.storage.exists(name):
            return True
        self._see_that_it_is_there()
        return False

    def _see_that_it_is_there(self) -> None:
        """A disk that is not mounted any more looks like a store with nothing in it."""
        if not self.storage.exists(MARKER):
            raise FileNotFoundError(errno.ENOENT, "the store is not there", self._at(MARKER))

    def patiently(self, do: Callable[..., T], *arguments: Any) -> T:
        """The result of `do(*arguments)`, tried again while the storage refuses.

        Raises:
            StoreError: when it still refuses after `patience_s`; a key is refused only once.
        """
        began, pause, refused = time.monotonic(), 0.5, None
        while True:
            try:
                done = do(*arguments)
            except OSError as error:
                refused, patience_s = error, 0.0 if is_refusal(error) else self.patience_s
                if time.monotonic() + pause > began + patience_s:
                    tried = f" (tried for {patience_s:.0f} s)" if patience_s else ""
                    raise StoreError(hide_credentials(f"{self.place}: {error}{tried}")) from None
                time.sleep(pause)
                pause = min(2 * pause, 8.0)
            else:
                if refused is not None:
                    waited = time.monotonic() - began
                    self.notes.append(
                        f"waited {waited:.0f} s for the store: {hide_credentials(refused)}"
                    )
                return done

    def _at(self, name: str) -> str:
        return f"{hide_credentials(self.place)}/{name}"


def _name(kind: str, id: str) -> str:
    return f"{kind}/{id[:2]}/{id}{SUFFIXES[kind]}"


def _packed(name: str, data: bytes) -> bytes:
    """`data` as a gzip file that carries its name (RFC 1952, section 2.3)."""
    # Level 0: nothing but the checksum, and the time that it takes.
    file = gzip.compress(data, 0, mtime=0)
    return file[:3] + bytes([_HAS_NAME]) + file[4:10] + name.encode() + b"\0" + file[10:]


def _unpacked(file: bytes) -> tuple[str, bytes]:
    """Undo `_packed`; a file of an early version has an empty name.

    Raises:
        ValueError: when it is something else, or larger than what `_packed` would make a file of.
        EOFError: when it was cut.
        zlib.error: when its checksum is wrong.
    """
    if not file:
        raise EOFError("it is empty")
    stream = zlib.decompressobj(wbits=31)  # gzip
    data = stream.decompress(file, len(file))
    if not stream.eof:
        raise EOFError("it is cut, or compressed")
    name = b""
    if file[3] & _HAS_NAME:
        name = file[10 : file.index(b"\0", 10)]
    return name.decode(), data


def _own(name: str, file: bytes) -> bytes:
    """The content of the file of this name; raises one of `_DAMAGED` for another's."""
    carried, content = _unpacked(file)
    if carried not in ("", name):  # files of early versions have no name
        raise ValueError(f"it is {carried}")
    return content


def _of_id(line: bytes, id: str) -> bytes:
    """A line of JSON, if it is that of `id`; files of early versions carry no other name."""
    if line.startswith(b'{"id":"%s",' % id.encode()):
        return line  # as lines of ours begin: not to be parsed twice, of a hundred thousand
    parsed = from_json(line)
    if not isinstance(parsed, dict) or parsed.get("id") != id:
        raise ValueError(f"it is not of {id}")
    return line


def _reason(line: bytes, id: str) -> str:
    reason = _content(_of_id(line, id)).get("reason")
    if not isinstance(reason, str):
        raise ValueError("it has no reason")
    return reason


def _content(line: bytes) -> dict[str, Any]:
    parsed = from_json(line)
    if not isinstance(parsed, dict):
        raise ValueError("it is no JSON object")
    return parsed
