"""What is said of a cluster's head that goes away, and when it is given up."""

import socket

import pytest

from tune_app.run import head as heads
from tune_app.run.head import Head


@pytest.fixture
def watched():
    """A head that is told of, what it says, and whether it was given up."""
    said, lost = [], []
    return Head("127.0.0.1:1", said.append, "the command", lambda: lost.append(True)), said, lost


def test_the_first_missed_look_is_said_with_the_command(watched):
    head, said, lost = watched
    head.seen({"a"})
    head.missed()
    head.missed()
    assert said == [
        "cluster: its head at 127.0.0.1:1 does not answer; waiting 30s for it. What is trained is "
        "stored. To go on once a cluster is up again: the command"
    ]
    assert not lost


def test_a_head_that_comes_back_with_its_nodes_is_the_same(watched):
    head, said, lost = watched
    head.seen({"a", "b"})
    head.missed()
    head.seen({"b"})
    assert len(said) == 2 and said[1].startswith("cluster: the head is back after ")
    assert head.away_since is None and not lost


def test_one_that_stays_away_or_knows_no_node_of_before_is_given_up(watched, monkeypatch):
    head, said, lost = watched
    head.seen({"a"})
    head.missed()
    monkeypatch.setattr(heads, "PATIENCE_S", 0.0)
    head.seen({"c"})
    assert lost == [True]
    head.missed()
    assert lost == [True, True] and len(said) == 1


def test_it_is_there_where_something_listens(watched):
    head, _, _ = watched
    with socket.create_server(("127.0.0.1", 0)) as server:
        head.address = f"127.0.0.1:{server.getsockname()[1]}"
        assert head.is_there()
    assert not head.is_there()
