"""Makes a table for replay.py: `python tests/benchmarks/table.py lenet_300_100 9 3 > table.csv`.

The network, the last round and the number of seeds. Each of 6 H_find (LR 0.02, 0.1, 0.5 and WD
5e-4, 5e-3; 8 epochs on the digits, 40% pruned a round) finds a mask, which all 6 train.
"""

import csv
import itertools
import sys

import torch

from lt_core import data
from lt_core.chain import find
from lt_core.config import Pruning, Recipe
from lt_core.evaluation import evaluate

COLUMNS = ("find_lr", "find_weight_decay", "eval_lr", "eval_weight_decay", "validation", "test")


def main(model: str, last: int, num_seeds: int) -> None:
    torch.set_num_threads(1)
    digits, prune = data.load("digits"), Pruning(fraction=0.4)
    recipes = [
        Recipe(
            lr=lr,
            batch_size=64,
            weight_decay=decay,
            duration="8ep",
            milestones=("4ep", "7ep"),
            gamma=0.3,
        )
        for lr, decay in itertools.product((0.02, 0.1, 0.5), (5e-4, 5e-3))
    ]
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(("round", "seed", *COLUMNS))
    for seed, h_find in itertools.product(range(num_seeds), recipes):
        *_, chain = find(model, digits, h_find, prune, rounds=last - 1, seed=seed)
        for h_eval in recipes:
            done = evaluate(model, digits, chain.next_mask, h_eval, seed=seed)
            right = (
                round(done.val_accuracy * len(digits.validation)),
                round(done.test_accuracy * len(digits.test)),
            )
            h = (h_find.lr, h_find.weight_decay, h_eval.lr, h_eval.weight_decay)
            lines.writerow((last, seed, *h, *right))
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
