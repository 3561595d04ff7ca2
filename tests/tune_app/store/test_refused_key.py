"""A key that a cloud takes no more: said at once, since it does not pass."""

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tune_app.store import store as stores
from tune_app.store.store import Store, StoreError


@pytest.fixture
def place(s3, tmp_path):
    return s3("store", tmp_path.name)


@pytest.fixture
def revoke(place):
    """Has the server take no key any more, until the test is over."""
    server = parse_qs(urlsplit(place).query)["endpoint_override"][0]

    def allow(number: str) -> None:
        requests.post(f"http://{server}/moto-api/reset-auth", data=number, timeout=10)

    yield lambda: allow("0")
    allow("inf")


def test_a_key_that_is_revoked_is_not_waited_for(place, revoke, monkeypatch):
    store = Store(place, patience_s=1000.0)
    store.create()
    monkeypatch.setattr(stores.time, "sleep", pytest.fail)
    store.put_result("ab", b'{"id":"ab"}')
    revoke()
    for refused in (
        lambda: store.put_result("cd", b'{"id":"cd"}'),
        lambda: store.result("ab", bytes),
        lambda: store.stored(),
    ):
        with pytest.raises(
            StoreError, match=r"s3://\*\*\*@store/.*(ACCESS_DENIED|INVALID)"
        ) as error:
            refused()
        assert "tried for" not in str(error.value) and "SECRET" not in str(error.value)
