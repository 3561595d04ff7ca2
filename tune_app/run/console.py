"""What a person sees in the terminal: the plan, and live progress."""

import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_app.credentials import hide_credentials
from tune_app.plan.left import ToDo, without
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Chain
from tune_app.results.racing_words import race_in_words
from tune_app.results.result import Result
from tune_app.results.words import kind_name, label, text, varied_fields
from tune_app.run.best_so_far import BestSoFar
from tune_app.run.estimate import Estimate
from tune_app.run.events import (
    Ended,
    Event,
    Failed,
    Finished,
    Found,
    Retried,
    Said,
    Started,
    Stopped,
)
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.spaces import Stage
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import printable
from tune_app.trial.report import Work
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


def how_far(work: Work, time: int, val_accuracy: float) -> str:
    """Where a trial was given up."""
    at = f"at round {time}" if isinstance(work, Chain) else f"after {plural(time, 'epoch')}"
    return f"{at} with validation {val_accuracy:.1%}"


def duration(seconds: float) -> str:
    """`0.8s`, `12s`, `4m12s`, `1h05m`, `3d04h`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d{h:02}h"
    if hours:
        return f"{h}h{m:02}m"
    return f"{m}m{s:02}s" if minutes else f"{s}s"


class Progress:
    """Says what is running, done and failed, and when it will be over.

    On a terminal a few lines that change; elsewhere one line for each finished training.
    """

    def __init__(
        self,
        sweep: Sweep,
        total: Callable[[], int | None],
        stream: TextIO,
        estimate: Estimate | None = None,
    ) -> None:
        """Prepare.

        Args:
            sweep: what runs.
            total: the number of trainings by now; None where results decide it.
            stream: a terminal, or what takes lines.
            estimate: of the trainings; without one all are taken to be as long as those done.
        """
        self.name = sweep.name
        self.varied = varied_fields(sweep)
        self.total = total
        self.num_done = 0
        self.num_failed = 0
        self.known: set[str] = set()
        """Results that are counted, or were there before."""

        self.to_come: dict[str, float] = {} if estimate is None else dict(estimate.seconds)
        """Expected seconds of the trainings that have no result yet, by id."""

        self.seconds_to_come = sum(self.to_come.values())
        self.seconds_done = 0.0
        """Expected seconds of the trainings that were done since the first trial started."""

        self.best = BestSoFar(sweep)
        self.running: dict[str, str] = {}
        self.last = ""
        self.first_start: float | None = None
        self.console = Console(file=stream, highlight=False)
        self.live = Live(
            get_renderable=self._panel, console=self.console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, soft_wrap=True, markup=False)

    def on_event(self, event: Event) -> None:
        match event:
            case Found(results):
                self.known.update(result.id for result in results)
                for result in results:
                    self._expected(result.id)
                    self.best.add(result)
            case Started(work):
                if self.first_start is None:
                    self.first_start = time.monotonic()
                self.running[work.ids[0]] = self._words(work)
            case Finished(result):
                self._finished(result)
            case Retried(work, reason):
                self.say(f"to be tried again: {self._words(work)}: {reason}")
            case Failed():
                self.num_failed += 1
                self.say(f"failed: {self._words(event.work)}: {event.reason}")
            case Stopped():
                far = how_far(event.work, event.time, event.val_accuracy)
                self.say(f"stopped: {self._words(event.work)}: {far}")
            case Said(text):
                self.say(text)
            case Ended(work):
                self.running.pop(work.ids[0], None)

    def _finished(self, result: Result) -> None:
        if result.id in self.known:
            return  # a chain that goes on reports its earlier rounds too
        self.known.add(result.id)
        self.best.add(result)
        self.num_done += 1
        self.seconds_done += self._expected(result.id)
        total = self.total()
        if total is None:
            counter, eta = f"{self.num_done:>4}", ""
        else:
            counter, eta = f"{self.num_done:>{len(str(total))}}/{total}", f"  eta {self.eta(total)}"
        self.last = (
            f"[{counter}] {self._words(result)}  {result.sparsity:.1%} pruned  "
            f"val {result.val_accuracy:.1%}  {duration(result.seconds)}"
        )
        if not self.console.is_terminal:
            self.say(self.last + eta)

    def _expected(self, id: str) -> float:
        """The seconds that a training which has a result now was expected to take."""
        seconds = self.to_come.pop(id, 0.0)
        self.seconds_to_come -= seconds
        return seconds

    def eta(self, total: int) -> str:
        """How long the rest of `total` takes at the pace until now, by what it is expected to take
        beside what is done; where nothing is expected, all are taken to be alike."""
        if self.num_done == 0:
            return "?"
        left, done = float(total - self.num_done), float(self.num_done)
        if self.seconds_done and self.to_come:
            # Not all of them may come: a race of seeds ends before.
            left *= self.seconds_to_come / len(self.to_come)
            done = self.seconds_done
        return duration(self.elapsed() / done * left)

    def elapsed(self) -> float:
        """Seconds since the first trial started."""
        return 0.0 if self.first_start is None else time.monotonic() - self.first_start

    def _words(self, of: Work | Result) -> str:
        if isinstance(of, Chain):
            return f"chain {label(of.find, self.varied)} seed {of.seed}"
        found = f"find {label(of.find, self.varied)} " if of.find else ""
        return f"{of.kind} {found}eval {label(of.eval, self.varied)} seed {of.seed}"

    def _panel(self) -> Group:
        counts = Table.grid(padding=(0, 2))
        failed, elapsed = f"{self.num_failed} failed", duration(self.elapsed())
        total = self.total()
        if total is None:
            counts.add_row(self.name, f"{self.num_done} done, {failed}", elapsed)
        else:
            counts.add_row(
                self.name,
                ProgressBar(total=total, completed=self.num_done, width=30),
                f"{self.num_done}/{total} done, {failed}",
                f"{elapsed}, eta {self.eta(total)}",
            )
        running = [f"  running  {words}" for words in self.running.values()]
        more = [f"           and {len(running) - 8} more"] if len(running) > 8 else []
        lines = (*running[:8], *more, self.last, self.best.in_words())
        return Group(counts, *(Text(line) for line in lines if line))
