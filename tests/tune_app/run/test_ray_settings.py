"""Ray's environment: ours where the user says nothing."""

import os

import pytest

from tune_app.run import ray_settings


@pytest.fixture
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("RAY_", "TUNE_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("address", [None, "", "local"])
def test_a_cluster_of_our_own_is_closed_to_others(environment, address):
    if address is not None:  # as Ray reads it
        environment.setenv("RAY_ADDRESS", address)
    ray_settings.apply()
    assert ray_settings.cluster_address() is None
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_ADDRESS", "10.0.0.1:6379"), ("RAY_AUTH_MODE", "disabled")]
)
def test_what_the_user_says_of_the_cluster_stands(environment, name, value):
    environment.setenv(name, value)
    ray_settings.apply()
    assert os.environ[name] == value
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_the_token_of_a_cluster_is_used(environment):
    environment.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    environment.setenv("RAY_AUTH_TOKEN", "f" * 64)
    ray_settings.apply()
    assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"]) == ("token", "f" * 64)


def test_a_setting_of_the_user_stands(environment):
    environment.setenv("TUNE_MAX_PENDING_TRIALS_PG", "3")
    ray_settings.apply()
    assert os.environ["TUNE_MAX_PENDING_TRIALS_PG"] == "3"
    assert os.environ["TUNE_DISABLE_SIGINT_HANDLER"] == "1"
