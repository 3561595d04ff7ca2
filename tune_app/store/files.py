"""Files by name, in a directory or in the cloud: each is whole or absent, whatever is killed.

Names have slashes for folders. Every failure is an OSError.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


T = TypeVar("T")


class Storage(Protocol):
    """A place for files."""

    def create(self) -> None:
        """Make the place, if it does not exist."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in place of one that is there."""

    def exists(self, name: str) -> bool: ...

    def names(self, folder: str) -> Iterator[str]:
        """All files in a folder and the folders in it; none where it is not there."""

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """The same with the size of each, in bytes."""

    def written_at(self, name: str) -> float | None:
        """Time of the last write, in seconds of the storage's own clock; None if it is gone."""

    def move(self, name: str, to: str) -> None: ...

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    def map(self, do: Callable[[str], T], items: Iterable[str]) -> Iterator[T]:
        """As the built-in, for functions that read or write files: at once where that is faster."""


def open_storage(place: str) -> Storage:
    """A directory's path, or a URL as pyarrow takes it: `s3://bucket/folder`, `gs://...`.

    Raises:
        ValueError: for another kind of URL; pyarrow also takes some whose files do not last.
    """
    if "://" not in place:
        return Directory(place)
    if not place.startswith(("s3://", "gs://")):
        raise ValueError("must be a directory, or a URL that begins with s3:// or gs://")
    cloud = Cloud(place)
    _ = cloud._opened
    return cloud


class Directory:
    """A directory of this machine, or one that it has mounted."""

    def __init__(self, path: str) -> None:
        self.path = path

    def create(self) -> None:
        Path(self.path).mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        try:
            with open(self._at(name), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        path = Path(self._at(name))
        self._make(path.parent)
        write_atomically(path, data)

    def exists(self, name: str) -> bool:
        return os.path.exists(self._at(name))

    def names(self, folder: str) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._at(folder)):
                if entry.is_dir():
                    yield from self.names(f"{folder}/{entry.name}")
                elif not entry.name.endswith(_PART):
                    yield f"{folder}/{entry.name}"

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        for name in self.names(folder):
            with contextlib.suppress(FileNotFoundError):  # of a launch that runs
                yield name, os.stat(self._at(name)).st_size

    def written_at(self, name: str) -> float | None:
        try:
            return os.stat(self._at(name)).st_mtime
        except FileNotFoundError:
            return None

    def move(self, name: str, to: str) -> None:
        self._make(Path(self._at(to)).parent)
        os.replace(self._at(name), self._at(to))

    def delete(self, name: str) -> None:
        Path(self._at(name)).unlink(missing_ok=True)

    def map(self, do: Callable[[str], T], items: Iterable[str]) -> Iterator[T]:
        return map(do, items)

    def _make(self, folder: Path) -> None:
        """Make a folder, but not the place itself, which may be a disk that is away."""
        if not folder.is_dir():
            if folder.parent != Path(self.path):
                self._make(folder.parent)
            folder.mkdir(exist_ok=True)

    def _at(self, name: str) -> str:
        # Text, not a Path: for 100,000 results making Paths takes as long as reading the files.
        return f"{self.path}/{name}"


class Cloud:
    """A folder of a bucket; a file appears there once it is whole."""

    def __init__(self, url: str) -> None:
        """Take a URL that pyarrow knows; nothing is connected yet."""
        self.url = url

    def __reduce__(self) -> tuple[type["Cloud"], tuple[str]]:
        return Cloud, (self.url,)

    @cached_property
    def _opened(self) -> tuple["FileSystem", str]:
        from pyarrow.fs import FileSystem  # half a second that few need

        files, root = FileSystem.from_uri(self.url)
        return files, root

    def create(self) -> None: ...

    def read(self, name: str) -> bytes | None:
        files, root = self._opened
        try:
            with files.open_input_stream(f"{root}/{name}") as file:
                data: bytes = file.read()
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        files, root = self._opened
        with files.open_output_stream(f"{root}/{name}") as file:
            file.write(data)

    def exists(self, name: str) -> bool:
        return self.written_at(name) is not None

    def names(self, folder: str) -> Iterator[str]:
        return (name for name, _ in self.sizes(folder))

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        from pyarrow.fs import FileSelector

        files, root = self._opened
        selector = FileSelector(f"{root}/{folder}", recursive=True, allow_not_found=True)
        for found in files.get_file_info(selector):
            if found.is_file:
                yield found.path.removeprefix(f"{root}/"), found.size

    def written_at(self, name: str) -> float | None:
        files, root = self._opened
        found = files.get_file_info(f"{root}/{name}")
        return found.mtime.timestamp() if found.is_file else None

    def move(self, name: str, to: str) -> None:
        files, root = self._opened
        files.move(f"{root}/{name}", f"{root}/{to}")

    def delete(self, name: str) -> None:
        files, root = self._opened
        with contextlib.suppress(FileNotFoundError):
            files.delete_file(f"{root}/{name}")

    def map(self, do: Callable[[str], T], items: Iterable[str]) -> Iterator[T]:
        with ThreadPoolExecutor(32) as threads:  # a request takes tens of milliseconds
            yield from threads.map(do, items)


_PART = ".part"

_REFUSALS = (
    *("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "EXPIRED_TOKEN"),
    *("ExpiredToken", "InvalidToken", "PERMISSION_DENIED", "UNAUTHENTICATED"),
)
"""What pyarrow says of a key that S3 or Google Cloud Storage does not take."""


def is_refusal(error: OSError) -> bool:
    """Whether a cloud takes no such key, which does not pass with time as other failures may."""
    return any(word in str(error) for word in _REFUSALS)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is whole, durable, or not there.

    Raises:
        OSError: when the disk is full or cannot be written; nothing is left behind.
    """
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_PART}")
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
