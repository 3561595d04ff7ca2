"""What is tried before Ray starts: that network, pruning and every recipe fit the data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lt_core import at_initialization, rewind
from lt_core.chain import prune_trained
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.import_path import told
from lt_core.live_paths import LivePaths
from lt_core.mask import Mask, dense, num_weights
from lt_core.rehearsal import rehearse
from lt_core.training_loop import misfits
from tune_app.run.about import about_in_words, data_in_words, pruned_in_words
from tune_app.run.given_masks import failing_searches, misfitting_masks
from tune_app.run.identity import Identified, hold, load_data
from tune_app.store.store import Store
from tune_app.sweep.kinds import AT_INITIALIZATION
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.words import plural


@dataclass(frozen=True)
class Fitting:
    """A data set that a sweep can be trained on."""

    data: DataSet
    about: dict[str, str]
    """For people: what was read (`data`), and what is pruned (`pruned`)."""

    contents: Sequence[Mapping[str, Any]]
    """What the store does not have of data and network."""


def load_fitting(
    identified: Identified, store: Store, path: Path, *, rehearses: bool = False
) -> Fitting:
    """The data set, once it is known that the network and every recipe fit it.

    Args:
        identified: what is to run; its data are taken out.
        store: to hold the data set against.
        path: of the sweep file, for messages.
        rehearses: whether a short training is tried also of a network of ours, which are known to
            train, and of which large ones take half a minute, and own searches for masks.

    Raises:
        SpecError: when one does not.
    """
    sweep = identified.sweep
    loaded = identified.data.pop() if identified.data else load_data(sweep, path)
    contents = (*identified.contents, *hold(sweep, loaded, store, path))
    recipes = tuple(dict.fromkeys((*sweep.find_recipes, *sweep.eval_recipes)))
    problems: list[str] = []
    key, about = "dataset", {}
    try:
        if loaded.is_normalized:
            _ = loaded.mean_and_std  # kept with the data set: not worked out again by each worker
        _check_variety(loaded)
        about = {"data": data_in_words(loaded)}
        key = "model"
        network = rewind.to_initialization(sweep.network, loaded, seed=sweep.seeds[0])
        key = "prune"
        everything = dense(network, sweep.prune.skip)
        about["pruned"] = pruned_in_words(network, everything)
        most = sweep.prune.of_round(sweep.prune.num_rounds)
        # By magnitude over all layers fits every network.
        if sweep.prune.strategy != "global_magnitude" or sweep.prune.pattern is not None:
            prune_trained(network, loaded, everything, most)
        key = "baselines"
        if "preserve_lpr_live" in sweep.baselines:
            _check_paths(network, loaded, everything)
        _check_at_initialization(sweep, network, loaded, everything)
        problems += misfitting_masks(identified.masks, everything)
        if rehearses:
            problems += failing_searches(sweep, network, loaded, everything)
        key = "model"
        if rehearses or sweep.has_own_network:
            failing = rehearse(sweep.network, loaded, recipes, most)
            problems += [f"`model`: {sweep.model}: {text}" for text in failing]
    except ValueError as error:
        problems.append(f"`{key}`: {error}")
    begins = [(recipe, sweep.find_rewind.to) for recipe in sweep.find_recipes]
    begins += [(recipe, sweep.eval_rewind.to) for recipe in recipes]
    misfitting = (text for r, begin in begins for text in misfits(r, len(loaded.train), begin))
    problems += [f"{sweep.dataset}: {text}" for text in dict.fromkeys(misfitting)]
    if problems:
        raise SpecError([f"{path}: {text}" for text in problems])
    return Fitting(loaded, about, contents)


def checked(identified: Identified, store: Store, path: Path) -> list[str]:
    """Lines on what was read, what is pruned, and that a short training went well.

    Raises:
        SpecError: when it did not.
    """
    about = load_fitting(identified, store, path, rehearses=True).about
    return [*about_in_words(about), f"{'checked':<16}a training of two steps"]


def _check_paths(network: nn.Module, data: DataSet, everything: Mask) -> None:
    """Refuse `preserve_lpr_live` where nobody can tell which weights are on a live path."""
    if LivePaths(network, data.image_shape).num_live(everything) is None:
        raise ValueError(
            "preserve_lpr_live needs to tell which weights are on a path from the input to the "
            "output, which the operations of this network hide; use preserve_lpr"
        )


def _check_at_initialization(
    sweep: Sweep, network: nn.Module, data: DataSet, everything: Mask
) -> None:
    """Refuse baselines that are found in the network as initialized where they cannot be."""
    few, left = Batches(data, data.train, "cpu")[:8], max(1, num_weights(everything) // 2)
    for kind in AT_INITIALIZATION.intersection(sweep.baselines):
        try:
            at_initialization.found(kind, network, everything, left, *few, synflow_steps=1)
        except Exception as error:
            raise ValueError(f"{kind} cannot prune this network: {told(error)}") from error


def _check_variety(data: DataSet) -> None:
    """Refuse a training set of one image or of one class, from which nothing is learnt."""
    images, labels = data.train.images, data.train.labels
    number = plural(len(labels), "training image")
    # Most differ among the first few already, without a comparison of all.
    if all((images[i : i + 100] == images[0]).all() for i in range(0, len(images), 100)):
        raise ValueError(f"{data.name}: of {number} all are equal")
    if (labels == labels[0]).all():
        raise ValueError(f"{data.name}: of {number} all are of class {labels[0]}")
