"""How long the smaller networks of whole filters take, on the machine that writes the report."""

from collections.abc import Iterator

from lt_core.config import Recipe
from lt_core.packed_mask import PackedMask
from tune_app.plan.plan import Plan
from tune_app.report.tables import Rows, as_markdown
from tune_app.results.words import short, varied_fields
from tune_app.store.store import Store, StoreError
from tune_app.sweep.sweep import Sweep


def latency_lines(sweep: Sweep, plan: Plan, store: Store | None) -> list[str]:
    """A section of report.md: the networks of the first seed that are left of each ticket.

    Nothing where no smaller networks are trained, the masks are not stored, or the size of the
    images is not known without the data set.
    """
    if sweep.prune.strategy != "filter_l1" or not sweep.prune.shrink or store is None:
        return []
    try:
        rows = _rows(sweep, plan, store)
    except StoreError:  # which the comparison of masks tells of
        return []
    if len(rows) == 1:
        return []
    return [
        "## How long the smaller networks take\n",
        "Milliseconds for one image on a CPU of the machine that wrote this report, one network "
        f"after the other in turn: median (10th to 90th percentile). Seed {sweep.seeds[0]}.\n",
        as_markdown(rows),
    ]


def _rows(sweep: Sweep, plan: Plan, store: Store) -> Rows:
    # Here: they take torch, which no other section does.
    from lt_core import models
    from lt_core.data.contents import SHAPES
    from lt_core.latency import latencies
    from lt_core.mask import unpack
    from lt_core.structured.channels import channel_groups
    from lt_core.structured.shrinking import shrink

    head = [["network", "parameters", "ms", "of the dense network's"]]
    shape = SHAPES.get(sweep.dataset)
    if shape is None:
        return head
    image_shape = shape.inputs
    dense = models.build(sweep.model, **vars(shape), seed=sweep.seeds[0])
    groups = channel_groups(dense, image_shape)
    networks = {"not pruned": dense}
    tickets = dict(_tickets(sweep, plan))
    there = store.peek("tickets", tickets.values(), PackedMask.from_bytes)
    for name, ticket in tickets.items():
        if ticket in there:  # other sections say what is not
            networks[name] = shrink(dense, groups, unpack(there[ticket]))
    measured = dict(zip(networks, latencies([*networks.values()], image_shape), strict=True))
    for name, network in networks.items():
        latency = measured[name]
        size = sum(parameter.numel() for parameter in network.parameters())
        ms = f"{latency.median:.2f} ({latency.low:.2f} to {latency.high:.2f})"
        share = latency.median / measured["not pruned"].median
        head.append([name, f"{size:,}", ms, f"{100 * share:.0f}%"])
    return head


def _tickets(sweep: Sweep, plan: Plan) -> Iterator[tuple[str, str]]:
    """Names and ids of the tickets of the first seed."""
    finds: dict[Recipe, str] = {
        find: short(find, varied_fields(sweep), "find") for find in sweep.find_recipes
    }
    for round, sparsity in list(sweep.sparsities.items())[1:]:
        for chain in plan.chains:
            if chain.seed == sweep.seeds[0] and round <= len(chain.tickets):
                name = f"{sparsity:.1%} of the filters pruned, {finds[chain.find]}"
                yield name, chain.tickets[round - 1]
