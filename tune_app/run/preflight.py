"""What is tried before Ray starts: that network, pruning and every recipe fit the data set."""

from pathlib import Path

from lt_core import data, rewind
from lt_core.chain import prune_trained
from lt_core.data import DataSet
from lt_core.mask import dense
from lt_core.training_loop import misfits
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError


def load_fitting_data(sweep: Sweep, path: Path) -> DataSet:
    """The data set, once it is known that the network and every recipe fit it.

    Args:
        sweep: what is to run.
        path: of the sweep file, for messages.

    Raises:
        SpecError: when one does not.
    """
    try:
        loaded = data.load(sweep.dataset, sweep.data_dir)
    except (ValueError, OSError) as error:
        raise SpecError([f"{path}: `dataset`: {error}"]) from error
    problems = []
    key = "model"
    try:
        network = rewind.to_initialization(sweep.model, loaded, seed=sweep.seeds[0])
        key = "prune"
        everything = dense(network, sweep.prune.skip)
        if sweep.prune.strategy != "global_magnitude":  # which fits every network
            most = sweep.prune.of_round(sweep.prune.num_rounds)
            prune_trained(network, loaded, everything, most)
    except ValueError as error:
        problems.append(f"`{key}`: {error}")
    recipes = dict.fromkeys((*sweep.find_recipes, *sweep.eval_recipes))
    misfitting = (
        text for recipe in recipes for text in misfits(recipe, len(loaded.train), sweep.rewind.to)
    )
    problems += [f"{sweep.dataset}: {text}" for text in dict.fromkeys(misfitting)]
    if problems:
        raise SpecError([f"{path}: {text}" for text in problems])
    _ = loaded.mean_and_std  # kept with the data set: not to be worked out again by each worker
    return loaded
