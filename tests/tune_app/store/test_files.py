"""Files on a disk and on a server that speaks S3: each is whole, or absent and said."""

import errno
import os
import pickle
import time

import pytest

from tune_app.store.files import Directory, open_storage, write_atomically


@pytest.fixture(params=["directory", "s3"])
def storage(request, tmp_path):
    if request.param == "directory":
        return Directory(str(tmp_path))
    return open_storage(request.getfixturevalue("s3")("storage", tmp_path.name))


def test_what_is_written_is_there_also_for_another_process(storage):
    storage.write("store.json", b"{}")
    storage.write("results/3f/3f0c.json", b"old")
    storage.write("results/3f/3f0c.json", b"new")
    again = pickle.loads(pickle.dumps(storage))
    assert again.read("results/3f/3f0c.json") == b"new"
    assert again.exists("store.json") and again.exists("results/3f/3f0c.json")
    assert sorted(again.names("results")) == ["results/3f/3f0c.json"]


def test_what_is_not_there_is_none(storage):
    storage.write("results/3f/3f0c.json", b"")
    assert storage.read("results/3f/3f0d.json") is None
    assert storage.written_at("results/3f/3f0d.json") is None
    assert not storage.exists("results/3f/3f0d.json")
    assert list(storage.names("tickets")) == []
    storage.delete("results/3f/3f0d.json")


def test_what_is_moved_or_deleted_is_gone(storage):
    storage.write("results/3f/3f0c.json", b"garbled")
    storage.write("results/3f/3f0d.json", b"whole")
    storage.move("results/3f/3f0c.json", "damaged/3f0c")
    storage.delete("results/3f/3f0d.json")
    assert list(storage.names("results")) == []
    assert storage.read("damaged/3f0c") == b"garbled"


def test_files_are_read_in_order(storage):
    names = [f"results/{i:02}/a.json" for i in range(40)]
    for name in names:
        storage.write(name, name.encode())
    assert list(storage.map(storage.read, names)) == [name.encode() for name in names]


def test_the_time_of_a_file_is_that_of_its_last_write(storage):
    storage.write("claims/a.alive", b"")
    assert abs(storage.written_at("claims/a.alive") - time.time()) < 60


@pytest.mark.parametrize("url", ["s4://bucket/folder", "mock://x", "file:///x", "://"])
def test_a_place_that_keeps_nothing_is_refused(url):
    with pytest.raises(ValueError, match="must be a directory, or a URL that begins with s3://"):
        open_storage(url)


def test_a_server_that_is_away_is_an_error(s3_away):
    with pytest.raises(OSError, match="connect to server"):  # libcurl says how
        open_storage(s3_away).read("store.json")


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_atomically(path, b"old")

    def no_space(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=r"No space left on device: '.*result\.json'"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_half_written_files_do_not_count(tmp_path):
    storage = Directory(str(tmp_path))
    storage.write("results/3f/3f0c.json", b"{}")
    (tmp_path / "results" / "3f" / "3fff.json.0123.part").write_text("{")
    assert list(storage.names("results")) == ["results/3f/3f0c.json"]
