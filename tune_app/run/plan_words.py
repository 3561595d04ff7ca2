"""The plan, or the search, in words: what is asked for, what is left, and what has no result."""

import sys
import textwrap
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_app.credentials import hide_credentials
from tune_app.plan.left import ToDo, without
from tune_app.plan.plan import Plan
from tune_app.results.racing_words import race_in_words
from tune_app.results.words import kind_name, text, varied_fields
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.spaces import Stage
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import printable
from tune_app.words import first_few, plural


def plan_text(sweep: Sweep, plan: Plan, to_do: ToDo) -> str:
    """The plan as a table: what is asked for, and how little of it is left to train."""
    width = max(len(row.what) for row in plan.rows)
    names = max(16, *(len(row.stage) + 1 for row in plan.rows))

    def line(stage: str, what: str, *cells: str | int) -> str:
        columns = (f"{cell:>10,}" if isinstance(cell, int) else f"{cell:>10}" for cell in cells)
        return f"{stage:<{names}}{what:<{width}}{''.join(columns)}"

    about = f"{sweep.name}: {sweep.model} on {sweep.dataset}. {sweep.description}".rstrip()
    lines = [printable(about), ""]
    lines.append(line("trainings", "", "requested", "shared", "done", "to do"))
    totals = [0, 0, 0, 0]
    seen: set[str] = set()
    for row in plan.rows:
        new = set(row.requested) - seen
        seen |= new
        left = len(new & to_do.trainings)
        counts = (len(row.requested), len(row.requested) - len(new), len(new) - left, left)
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        lines.append(line(row.stage, row.what, *counts))
    lines.append(line("total", "", *totals))
    lines.append("")
    seeds = race_in_words(sweep.race) if sweep.race else f"{len(sweep.seeds)}"
    below = {"trials": _trials(to_do), "seeds": seeds}
    what = "filters pruned" if sweep.prune.strategy == "filter_l1" else "sparsities"
    below[what] = ", ".join(_sparsities(sweep))
    return "\n".join([*lines, *_wrapped(below)])


def _wrapped(rows: Mapping[str, str]) -> Iterator[str]:
    """Names with their texts, in 80 columns."""
    for name, words in rows.items():
        yield textwrap.fill(words, 80, initial_indent=f"{name:<16}", subsequent_indent=" " * 16)


def _trials(to_do: ToDo) -> str:
    if not to_do.num_trials:
        return "nothing to do: everything is trained"
    find = "finds" if len(to_do.chains) == 1 else "find"
    return (
        f"{to_do.num_trials:,} to run: {plural(len(to_do.chains), 'chain')} that {find} masks, "
        f"{plural(len(to_do.evaluations), 'evaluation')}"
    )


def _sparsities(sweep: Sweep) -> Iterator[str]:
    """Those that are evaluated, with what was asked for where no round is as sparse."""
    asked = {sweep.nearest_round(at): at for at in sweep.eval.at_sparsity or ()}
    for round in sweep.eval_rounds:
        sparsity = sweep.prune.sparsity(round)
        near = asked.get(round)
        snapped = near is not None and abs(near - sparsity) >= 0.0005
        text = f"round {round}, nearest to {near:.6g}" if snapped else f"round {round}"
        yield "dense" if round == 0 else f"{sparsity:.1%} ({text})"


def show_plan(
    sweep: Sweep, plan: Plan, to_do: ToDo, store: Store, stored: Stored, failures: Collection[str]
) -> ToDo:
    """Print what is left to do; that without what failed before, and would again."""
    print(plan_text(sweep, plan, to_do))
    rest = without(to_do, stored, failures)
    if left_out := len(to_do.trainings) - len(rest.trainings):
        print(
            f"{'not tried again':<16}{left_out:,} of these: {len(failures):,} diverged before, as "
            f"{hide_credentials(store.place)}/failures tells, and others wait for their masks"
        )
    sys.stdout.flush()
    return rest


def show_lines(lines: Sequence[str]) -> None:
    """Print lines, if there are any."""
    print(*lines, sep="\n", end="\n" if lines else "", flush=True)


def show_missing(sweep: Sweep, missing: Sequence[Mapping[str, Any]], run_dir: Path) -> None:
    """Print the trainings without a result, by reason."""
    varied = varied_fields(sweep)
    by_reason: dict[str, list[str]] = defaultdict(list)
    for failure in missing:
        by_reason[failure["reason"]].append(f"{_named(failure, varied)} ({failure['id']})")
    have = "has" if len(missing) == 1 else "have"
    print(f"\n{plural(len(missing), 'training')} {have} no result:", file=sys.stderr)
    for reason, ids in by_reason.items():
        print(f"  {first_few(ids, 3)}: {reason}", file=sys.stderr)
    print(f"all of them in {run_dir / 'failures.jsonl'}", file=sys.stderr)


def _named(failure: Mapping[str, Any], varied: Sequence[str]) -> str:
    """A training by what the sweep varies; `failure` is a line of failures.jsonl."""
    parts = [kind_name(failure["kind"])]
    for stage in ("find", "eval"):
        if (recipe := failure[stage]) is not None:
            values = (f"{name} {text(recipe[name])}" for name in varied if name in recipe)
            parts.append(f"{stage} {', '.join(values)}")
    return " ".join([*parts, f"seed {failure['seed']} round {failure['round']}"])


def search_text(sweep: Sweep, num_samples: int) -> str:
    """What a search looks for, what one configuration costs, and when it ends."""
    search, last = sweep.search_block, sweep.search_rounds[-1]
    chain = 1 if sweep.prune.is_one_shot else max(last, 1)
    about = f"{sweep.name}: {sweep.model} on {sweep.dataset}. {sweep.description}".rstrip()
    sparsities = ", ".join(f"{sweep.prune.sparsity(round):.1%}" for round in sweep.search_rounds)
    ends: list[str] = []
    if search.num_samples is not None:
        ends.append(f"{plural(search.num_samples, 'sample')} ({num_samples:,} tried)")
    if search.trainings is not None:
        ends.append(plural(search.trainings, "training"))
    if search.time_budget is not None:
        ends.append(search.time_budget)
    seeds = len(sweep.seeds)
    rows = {
        "looks for": f"the highest {search.metric} at {sparsities}, mean over "
        f"{plural(seeds, 'seed')}",
        "H_find": _drawn(sweep.find),
        "H_eval": _drawn(sweep.eval),
        "cost": f"{plural(chain * seeds, 'training')} to find a mask, "
        f"{len(sweep.search_rounds) * seeds:,} to evaluate it",
        "ends after": " or ".join(ends),
        "then": "the best coupled and the best decoupled configuration over "
        f"{plural(len(search.report_seeds), 'fresh seed')}",
    }
    return "\n".join([printable(about), "", *_wrapped(rows)])


def _drawn(stage: Stage) -> str:
    dimensions = []
    for name, domain in stage.parameters:
        if domain is not None and domain.values is not None:
            dimensions.append(f"{name} of {', '.join(map(text, domain.values))}")
        elif domain is not None:
            scale = ", log" if domain.log else ""
            dimensions.append(f"{name} from {domain.min:g} to {domain.max:g}{scale}")
    if stage.points:
        dimensions.append(plural(len(stage.points), "point"))
    return f"{stage.method}: {'; '.join(dimensions) or 'as train says'}"
