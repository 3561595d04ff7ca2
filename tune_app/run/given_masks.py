"""Given masks before anything is trained: what they are by content, and whether they fit."""

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tune_app.run.own_code import fingerprint_of
from tune_app.store.store import Store
from tune_app.sweep.kinds import is_file, source
from tune_app.sweep.sweep import Sweep

if TYPE_CHECKING:
    from torch import nn

    from lt_core.data import DataSet
    from lt_core.mask import Mask
    from lt_core.packed_mask import PackedMask

# torch is loaded where masks are held against a network: a plan of files needs none.


def read_masks(sweep: Sweep) -> "tuple[dict[str, PackedMask], dict[str, str], list[str]]":
    """The masks of files, by their paths.

    Returns:
        The masks, the fingerprints of all given masks by where they come from, and what is wrong.
    """
    from lt_core.mask_file import read_mask

    masks, fingerprints, problems = {}, {}, []
    for where in _sources(sweep):
        try:
            if is_file(where):
                masks[where] = read_mask(where)
                fingerprints[where] = masks[where].fingerprint()
            else:
                fingerprints[where] = fingerprint_of(where)
        except ValueError as error:
            problems.append(f"`masks`: {error}")
    return masks, fingerprints, [*problems, *_repeated(sweep, fingerprints)]


def _sources(sweep: Sweep) -> list[str]:
    named = (source(kind, seed) for kind in sweep.masks or () for seed in _seeds(sweep))
    return list(dict.fromkeys(named))


def _seeds(sweep: Sweep) -> tuple[int, ...]:
    """Those that given masks are trained with: of a search, in the comparison that it ends with."""
    return sweep.seeds if sweep.search is None else sweep.search.report_seeds


def _repeated(sweep: Sweep, fingerprints: Mapping[str, str]) -> Iterator[str]:
    """Files that hold one mask: what is trained under it would go by one of the names."""
    for seed in _seeds(sweep):
        names: dict[str, str] = {}
        for kind in filter(is_file, sweep.masks or ()):
            where = source(kind, seed)
            if (found := fingerprints.get(where)) is None:
                continue
            first = names.setdefault(found, where)
            if first != where:
                yield f"`masks`: {where} holds the same mask as {first}; give one of them"
                return


def keep_masks(sweep: Sweep, masks: "Mapping[str, PackedMask]", store: Store) -> None:
    """Put the masks of files where trials look for them, on any node.

    Args:
        sweep: with fingerprints.
        masks: by the paths of their files.
        store: of the launch.
    """
    fingerprints = (sweep.fingerprints and sweep.fingerprints.masks) or {}
    for where, mask in masks.items():
        store.put_ticket(fingerprints[where], mask.to_bytes())


def misfitting_masks(masks: "Mapping[str, PackedMask]", everything: "Mask") -> Iterator[str]:
    """What is wrong with the masks of files, by their paths, for a network."""
    from lt_core.given_masks import misfits
    from lt_core.mask import unpack

    for where, mask in masks.items():
        yield from (f"`masks`: {where}: {text}" for text in misfits(unpack(mask), everything))


def failing_searches(
    sweep: Sweep, network: "nn.Module", data: "DataSet", everything: "Mask"
) -> list[str]:
    """What is wrong with what the user's own searches find, each tried for one seed at the highest
    sparsity, which may take as long as in a trial."""
    from lt_core.data.batches import Batches
    from lt_core.given_masks import ToFind, find_given
    from tune_app.trial.trainer import num_alive_in

    last = sweep.prune.num_rounds
    left = num_alive_in(sweep.prune, last, everything)
    problems = []
    for where in filter(lambda where: not is_file(where), sweep.masks or ()):
        train = Batches(data, data.train, "cpu")
        own = copy.deepcopy(network)  # it may be changed
        mask = {name: layer.clone() for name, layer in everything.items()}
        try:
            find_given(where, ToFind(own, mask, left, train, _seeds(sweep)[0], "cpu"))
        except ValueError as error:
            problems.append(f"`masks`: {error}")
    return problems
