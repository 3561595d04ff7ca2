"""When all trials of a Tuner end together."""

from types import SimpleNamespace

from tune_app.run.tuner import _Stop


def test_all_end_where_the_store_refuses_one_or_no_node_is_left():
    queue = SimpleNamespace(stopped_by="")
    nodes = SimpleNamespace(none_left_by_now=lambda: "")
    assert not _Stop(queue, None).stop_all() and not _Stop(queue, nodes).stop_all()
    nodes.none_left_by_now = lambda: "no node is left"
    assert _Stop(queue, nodes).stop_all() and queue.stopped_by == "no node is left"
    refused = SimpleNamespace(stopped_by="the store refuses")
    assert _Stop(refused, None).stop_all()
