"""What a machine sees at the place of a launch's store."""

import shutil
from dataclasses import replace

from tune_app.store.same_store import sign_in
from tune_app.store.store import Store


def made(place) -> Store:
    store = Store(str(place))
    store.create()
    return store


def test_who_sees_the_sign_of_a_launch_has_its_store(tmp_path):
    store = made(tmp_path / "store")
    with sign_in(store) as sign:
        assert sign.missing() == ""
        with sign_in(made(tmp_path / "store")) as other:  # of another launch
            assert other.id == sign.id and other.missing() == ""
    assert sorted(path.name for path in (tmp_path / "store").rglob("*")) == [
        "id",
        "proofs",
        "store.json",
    ]


def test_another_store_a_copy_and_none_are_told_apart(tmp_path):
    with sign_in(made(tmp_path / "store")) as sign:
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        shutil.rmtree(tmp_path / "copy" / "proofs")
        with sign_in(made(tmp_path / "another")) as other:
            pass

        def seen(place: str) -> str:
            return replace(sign, store=Store(str(tmp_path / place))).missing()

        assert seen("another") == f"holds the store {other.id}, the launch's is {sign.id}"
        copy = f"holds a copy of the launch's store {sign.id}: what that writes does not come"
        assert seen("copy") == copy
        assert seen("nowhere") == "is not there"


def test_a_store_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    def write(name, data):
        raise OSError(30, "Read-only file system")

    with sign_in(made(tmp_path / "store")) as sign:
        monkeypatch.setattr(sign.store.storage, "write", write)
        assert sign.missing().endswith("Read-only file system")
        assert sign.missing().startswith("cannot be read and written: ")
