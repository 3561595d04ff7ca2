"""Training a chosen ticket again, as a trial did."""

import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from lt_core import data
from lt_core.data import DataSet
from lt_core.evaluation import Evaluation
from lt_core.mask import Mask
from lt_core.training_loop import Diverged, drained
from tune_app.credentials import hide_credentials
from tune_app.export.choice import Choice
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Training
from tune_app.results.reading import RunError
from tune_app.run.identity import identify
from tune_app.store.store import Missing, Store
from tune_app.sweep.resources import Resources
from tune_app.sweep.sweep import Sweep
from tune_app.trial.trainer import Trainer, stored_ticket

if TYPE_CHECKING:
    from tune_app.search.plan import SearchPlan  # loads Optuna


@dataclass(frozen=True)
class Trained:
    """A training that was repeated."""

    images: DataSet
    mask: Mask
    evaluation: Evaluation


def train_again(choice: Choice, store: Store) -> Trained:
    """Train with the same mask and threads, and on the same kind of device if there is one.

    Raises:
        RunError: a file that the training needs is gone; the message says how to make it again.
            Or the training diverges, or the data set cannot be loaded.
        SpecError: the user's own data or network are others than those of the run.
        StoreError: the store cannot be read.
    """
    sweep, training = choice.sweep, choice.training
    resources = _resources(sweep, choice.plan, training)
    torch.set_num_threads(resources.threads)
    device = "cpu"
    if resources.gpu:
        if torch.cuda.is_available():
            device = "cuda"
        else:
            print("training on the CPU, since torch sees no GPU here; the sweep's trials had one")
    try:
        identified = identify(sweep, store, choice.run_dir / "sweep.yaml")
        images = (
            identified.data.pop() if identified.data else data.load(sweep.dataset, sweep.data_dir)
        )
        ticket = partial(stored_ticket, store)
        trainer = Trainer(sweep.network, sweep.prune, images, store, ticket, device)
        mask = trainer.mask(training)
        return Trained(images, mask, drained(trainer.training(training, mask)))
    except Missing as missing:
        raise RunError(hide_credentials(_how_to_mend(choice, store, missing))) from None
    except (Diverged, ValueError) as error:
        raise RunError(f"training {training.id} cannot be repeated: {error}") from error


def _resources(sweep: Sweep, plan: "Plan | SearchPlan", training: Training) -> Resources:
    """The resources of its trial: a chain trains its own rounds and, in a search, its probes."""
    chains = set(plan.chain_of_ticket.values())
    in_chains = {id for chain in chains for id in chain.ids}
    if not isinstance(plan, Plan):
        in_chains |= {probe.id for chain in chains for probe in plan.probes(chain).values()}
    return sweep.find_resources if training.id in in_chains else sweep.eval_resources


def _how_to_mend(choice: Choice, store: Store, missing: Missing) -> str:
    """The file that is missing in the store, and the command that makes it again."""
    what = f"{store.place}: {str(missing).partition(';')[0]}"
    if choice.sweep.search is not None:
        return (
            f"{what}; a search that is over makes it no more, a grid of its H_find, H_eval and "
            "seed does"
        )
    id = choice.training.id
    launch = ["python", "-m", "tune_app.launch", f"{choice.run_dir}/sweep.yaml"]
    launch += ["--out", str(choice.run_dir.resolve().parent), "--store", store.place]
    return (
        f"{what}; to make it again, delete results/{id[:2]}/{id}.json.gz there and run: "
        f"{shlex.join(launch)}"
    )
