"""The plan of a search: it grows by one configuration at a time."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from lt_core.config import Recipe
from tune_app.plan.ids import Ids
from tune_app.plan.plan import Plan, chain_to
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result
from tune_app.search.chooser import Configuration
from tune_app.sweep.sweep import Sweep


class SearchPlan:
    """The trainings of all configurations that were added."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.ids = Ids(sweep)
        self.trainings: dict[str, Training] = {}
        self.chain_of_ticket: dict[str, Chain] = {}

    def chains(self, find: Recipe) -> tuple[Chain, ...]:
        """Those that find the masks of a configuration, one for each seed."""
        last = self.sweep.search_rounds[-1]
        return tuple(chain_to(self.sweep, self.ids, find, seed, last) for seed in self.sweep.seeds)

    def evaluations(self, configuration: Configuration) -> tuple[Training, ...]:
        """The trainings whose mean accuracy is the value of a configuration."""
        return tuple(
            self.ids.evaluation("lottery", configuration.find, configuration.eval, seed, round)
            for seed in self.sweep.seeds
            for round in self.sweep.search_rounds
        )

    def probes(self, chain: Chain) -> dict[int, Training]:
        """What a chain is judged by before it ends: its tickets of some rounds, all at one H."""
        train = self.sweep.eval_train
        return {
            round: self.ids.evaluation("lottery", chain.find, train, chain.seed, round)
            for round in self.sweep.probe_rounds
        }

    def of(self, configuration: Configuration) -> Plan:
        """The trainings of one configuration."""
        chains = self.chains(configuration.find)
        in_chains = {id for chain in chains for id in chain.ids}
        evaluations = self.evaluations(configuration)
        return Plan(chains, tuple(t for t in evaluations if t.id not in in_chains), ())

    def add(self, configuration: Configuration) -> Plan:
        """Take up the trainings of one configuration."""
        plan = self.of(configuration)
        probes = {probe.id: probe for c in plan.chains for probe in self.probes(c).values()}
        # A new dict: the thread that logs to MLflow may be going through the old one.
        self.trainings = self.trainings | probes | dict(plan.trainings)
        self.chain_of_ticket |= plan.chain_of_ticket
        return plan

    def found_in(self, lines: Iterable[bytes]) -> dict[Configuration, float]:
        """The configurations that results of this or another sweep have the value of.

        Args:
            lines: of the results; those that this version cannot read are of no sweep of it.
        """
        sweep = self.sweep
        accuracies: dict[Configuration, dict[str, float]] = {}
        for result in _readable(lines):
            if (
                result.kind in ("lottery", "chain")
                and result.find is not None
                and result.round in sweep.search_rounds
                and result.seed in sweep.seeds
            ):
                configuration = Configuration(result.find, result.eval)
                accuracies.setdefault(configuration, {})[result.id] = result.val_accuracy
        values = ((c, self.value(c, found)) for c, found in accuracies.items())
        return {configuration: value for configuration, value in values if value is not None}

    def value(self, configuration: Configuration, accuracies: Mapping[str, float]) -> float | None:
        """The mean validation accuracy of a configuration; None while some are missing.

        Args:
            configuration: the one.
            accuracies: by id of the training.
        """
        ids = [training.id for training in self.evaluations(configuration)]
        if any(id not in accuracies for id in ids):
            return None
        return sum(accuracies[id] for id in ids) / len(ids)


def plan_of(sweep: Sweep, configurations: Iterable[Configuration]) -> SearchPlan:
    """The plan of a search that has tried some configurations."""
    plan = SearchPlan(sweep)
    for configuration in configurations:
        plan.add(configuration)
    return plan


def _readable(lines: Iterable[bytes]) -> Iterator[Result]:
    for line in lines:
        with contextlib.suppress(ValidationError):
            yield Result.from_line(line)
