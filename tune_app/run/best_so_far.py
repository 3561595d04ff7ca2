"""The best configuration of a sweep while it runs."""

from collections import defaultdict
from statistics import fmean

from lt_core.config import Recipe
from tune_app.results.curves import percent_pruned
from tune_app.results.result import Result
from tune_app.results.words import label, varied_fields
from tune_app.sweep.sweep import Sweep


class BestSoFar:
    """The lottery tickets by mean validation accuracy, at the highest sparsity that any has."""

    def __init__(self, sweep: Sweep) -> None:
        self.varied = varied_fields(sweep)
        self.rounds = frozenset(sweep.eval_rounds) - {0}
        self.round = 0
        self.sparsity = 0.0
        self.accuracies: dict[tuple[Recipe, Recipe], list[float]] = defaultdict(list)
        """Of `round`, by H_find and H_eval."""

    def add(self, result: Result) -> None:
        if result.kind != "lottery" or result.find is None or result.round not in self.rounds:
            return
        if result.round > self.round:
            self.round, self.sparsity = result.round, result.sparsity
            self.accuracies.clear()
        if result.round == self.round:
            self.accuracies[result.find, result.eval].append(result.val_accuracy)

    def in_words(self) -> str:
        """One line; empty before there is any. Only configurations with the most seeds count."""
        if not self.accuracies:
            return ""
        most = max(map(len, self.accuracies.values()))
        means = {key: fmean(of) for key, of in self.accuracies.items() if len(of) == most}
        find, eval_ = max(means, key=lambda key: means[key])
        return (
            f"best so far at {percent_pruned(self.sparsity)} pruned: find "
            f"{label(find, self.varied)} eval {label(eval_, self.varied)}  "
            f"val {means[find, eval_]:.1%} (n={most})"
        )
