import re

import pytest
from tiny_sweep import Files

from lt_core import data
from tune_app.plan.plan import make_plan
from tune_app.report.latency import latency_lines
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.trial.worker import Setting, Worker

FILTERS = ("prune={strategy: filter_l1, one_shot: [0.5, 0.75]}", "baselines=[]", "seeds=[3]")


@pytest.fixture
def found(tiny, tmp_path):
    """A sweep of whole filters, its plan, and a store with its tickets."""
    sweep = load_sweep(tiny, [*FILTERS])
    plan, store = make_plan(sweep), Store(str(tmp_path))
    store.create()
    setting = Setting(sweep.model, sweep.prune, "1ep", store, None)
    worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")
    for chain in plan.chains:
        list(worker.find(chain, needed=chain.tickets))
    return sweep, plan, store


def rows_of(lines):
    *_, table = lines
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_a_line_for_each_smaller_network(found):
    rows = rows_of(latency_lines(*found))
    # Half as wide: 4,964 weights, 10 biases, 168 of norms; a quarter: 1,290, 10 and 84.
    assert [row[:2] for row in rows] == [
        ["not pruned", "19,810"],
        ["50.0% of the filters pruned, LR_find 0.05", "5,142"],
        ["50.0% of the filters pruned, LR_find 0.2", "5,142"],
        ["75.0% of the filters pruned, LR_find 0.05", "1,384"],
        ["75.0% of the filters pruned, LR_find 0.2", "1,384"],
    ]
    assert all(re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", row[2]) for row in rows)
    assert rows[0][3] == "100%"


def test_nothing_where_there_is_nothing_smaller_or_no_mask(found, tiny, tmp_path):
    sweep, plan, store = found
    assert latency_lines(sweep, plan, None) == []
    masked = load_sweep(tiny, [*FILTERS, "prune.shrink=false"])
    assert latency_lines(masked, plan, store) == []
    assert latency_lines(load_sweep(tiny), plan, store) == []
    empty = Store(str(tmp_path / "empty"))
    empty.create()
    assert [row[0] for row in rows_of(latency_lines(sweep, plan, empty))] == ["not pruned"]
