"""Stops what does badly before it ends: Ray Tune's ASHA and median rule, each among its like.

What is compared are the standings that trials report: watched evaluations at equal sparsity by
epoch, and probed chains by round. Everything else goes on. Accuracies are of validation.

Comparing evaluations by epoch is as sound as the order of trainings at an epoch is that at their
end. It is not where the learning rate is lowered late: a small one leads early, and the large one
that would win is stopped before its milestone. There give a `grace_epochs` past the last milestone
of every recipe, or no rule; less so with cosine decay or a warmup. Nor is it where recipes differ
in duration, as equal epochs are then not equal parts of their schedules.

Comparing chains by round needs no schedule: a ticket that is probed was trained to its end. It
takes for granted that a mask that is worse at one sparsity does not become the better one later.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler

from tune_app.plan.trainings import Chain
from tune_app.run.trial_queue import StartAll
from tune_app.trial.report import Report, Standing, Work

Rule = Literal["asha", "median"]
"""asha: at the grace period, and when the time since the beginning has grown by
`reduction_factor` again and again, whoever is not among the best 1 / `reduction_factor` that came
so far is stopped. It never waits, so that the first goes on whatever it is, and the second only if
it is as good.

median: after the grace period, whoever's best is below the median of the others' means is stopped.
More cautious: it stops less, and nobody while there are too few to compare with."""


@dataclass(frozen=True, kw_only=True)
class StoppingRules:
    """When to stop evaluations and chains."""

    evaluations: Rule | None = None
    """None: never."""

    chains: Rule | None = None

    max_epochs: int
    """Of the longest evaluation."""

    rounds: int
    """The last one that chains are probed at; a chain that got there is not stopped any more."""

    grace_epochs: int | None = None
    """No evaluation is stopped before so many. None: a quarter of `max_epochs`, since before that
    warmup and chance decide; nothing is stopped if it is not below `max_epochs`."""

    grace_rounds: int | None = None
    """No chain is stopped before this round. None: half of `rounds`, since a ticket that is hardly
    pruned is as good as the dense network, whoever found it; nothing is stopped if it is not below
    `rounds`."""

    reduction_factor: float = 2.0
    """Of asha. Ray's own 4 goes on with the best quarter, which is chance among a few dozen
    trainings that differ by a seed's noise."""

    min_samples: int = 3
    """Of median: so many others must have come as far. The median of fewer is one of them."""


class EarlyStopping(StartAll):
    """Has each group of trials that can be compared stopped by a scheduler of its own."""

    def __init__(self, rules: StoppingRules) -> None:
        super().__init__()
        self.rules = rules
        self.schedulers: dict[Hashable, Any] = {}
        """TrialSchedulers; Any, as contenders have no more of a Trial than these use."""

        self.stopped: set[Work] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        report: Report = result["report"]
        if report.standing is None:
            return TrialScheduler.CONTINUE
        work = trial.config["orders"][0].work  # what is compared is alone in its trial
        if work not in self.stopped and self._stops(work, report.standing):
            self.stopped.add(work)
        return TrialScheduler.STOP if work in self.stopped else TrialScheduler.CONTINUE

    def _stops(self, work: Work, standing: Standing) -> bool:
        rules = self.rules
        group: Hashable
        if isinstance(work, Chain):
            group, rule, grace, last = "chain", rules.chains, rules.grace_rounds, rules.rounds
            grace = math.ceil(last / 2) if grace is None else grace
        else:
            # A baseline is there to be worse than the tickets: it is compared with its like.
            group = ("evaluation", work.kind, work.round)
            rule, grace, last = rules.evaluations, rules.grace_epochs, rules.max_epochs
            grace = math.ceil(last / 4) if grace is None else grace
        if rule is None or grace >= last or standing.time >= last:
            return False
        if group not in self.schedulers:
            self.schedulers[group] = self._scheduler(rule, grace, last)
        scheduler, contender = self.schedulers[group], _Contender(work)
        scheduler.on_trial_add(None, contender)
        # Only what it compares: the median rule keeps all that it is told.
        told = {"time": standing.time, "val_accuracy": standing.val_accuracy}
        decision: str = scheduler.on_trial_result(None, contender, told)
        return decision == TrialScheduler.STOP

    def _scheduler(self, rule: Rule, grace: int, last: int) -> TrialScheduler:
        by: dict[str, Any] = {
            "time_attr": "time",
            "metric": "val_accuracy",
            "mode": "max",
            "grace_period": grace,
        }
        if rule == "asha":
            return ASHAScheduler(
                **by,
                max_t=last - 1,
                reduction_factor=self.rules.reduction_factor,
                stop_last_trials=False,  # a chain's last probe comes before its end
            )
        return MedianStoppingRule(
            **by,
            min_samples_required=self.rules.min_samples,
            # Never: else it pauses trials, which would begin anew.
            min_time_slice=math.inf,  # type: ignore[arg-type]  # Ray says int and only compares
        )


class _Contender(NamedTuple):
    """A trial, as Ray's schedulers tell one from another.

    Not Tune's: one that crashed and is handed out again would be compared with itself.
    """

    trial_id: Work
