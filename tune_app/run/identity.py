"""What data and network are by content, held against what the store has of their names.

An id has the fingerprints of a user's own data and network, so that what was trained on others
under the same names is kept and not mixed in. A data set with a published content has its name
alone in an id: another content than the store's is refused.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lt_core import pretrained
from tune_app.run.about import data_in_words, pruned_in_words, shared_in_words
from tune_app.run.given_masks import read_masks
from tune_app.run.own_code import fingerprint_of
from tune_app.run.second_look import look_again
from tune_app.store.store import Store
from tune_app.sweep.fingerprints import Fingerprints
from tune_app.sweep.initial_weights import InitialWeights
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError

if TYPE_CHECKING:
    from lt_core.data import DataSet
    from lt_core.data.shapes import AnyShape
    from lt_core.packed_mask import PackedMask

# Of names with a published content nothing is loaded here, so that a dry run of them is quick.


@dataclass(frozen=True)
class Identified:
    """A sweep, once its own data and network are known."""

    sweep: Sweep
    """With their fingerprints."""

    data: "list[DataSet]" = field(default_factory=list)
    """The data set, if it was loaded for that; to be taken out, so that only Ray has it."""

    masks: "Mapping[str, PackedMask]" = field(default_factory=dict)
    """Those of files, by their paths."""

    contents: Sequence[Mapping[str, Any]] = ()
    """What the store does not have of them: to `remember`, once something is trained on them."""

    notes: Sequence[str] = ()
    """For the user."""

    about: Mapping[str, str] = field(default_factory=dict)
    """What was read of own data (`data`) and what is pruned of an own network (`pruned`)."""

    variant_of: str = ""
    """The name in the sweep file, where the sweep has that of a variant."""


def remember(contents: Iterable[Mapping[str, Any]], store: Store) -> None:
    """Write contents into a store."""
    for content in contents:
        store.put_content(_id(content), content)


def _id(content: Mapping[str, Any]) -> str:
    key = "\n".join(content[name] for name in ("kind", "name", "fingerprint"))
    return hashlib.sha256(key.encode()).hexdigest()[:20]


def identify(sweep: Sweep, store: Store, path: Path, *, is_needed: bool = True) -> Identified:
    """Work out the fingerprints of the user's own data and network.

    Args:
        sweep: with fingerprints, if what it is to run on is to be what these say.
        store: of what was trained before.
        path: of the sweep file, for messages.
        is_needed: else, for a plan alone, it is only noted where they cannot be worked out here.

    Raises:
        SpecError: when they cannot be loaded, are others each time they are, or are others than
            the sweep says.
    """
    has_own = sweep.has_own_data or sweep.has_own_network or sweep.has_own_score
    if not (has_own or sweep.masks or sweep.initial_weights):
        return Identified(sweep)
    try:
        return _identified(sweep, store, path)
    except SpecError as error:
        if is_needed:
            raise
        note = (
            "what is stored of your own data, network, score and masks is not known, nor counted "
            "as done"
        )
        return Identified(sweep, notes=[f"{note}: {error}"])


class _Look(NamedTuple):
    """What another process is to find too."""

    arguments: tuple[str, ...]
    is_alike: Callable[[Any], bool]
    otherwise: str
    """What it means where it is not alike, and what to do."""


class _Part(NamedTuple):
    """What is found of own data, or of an own network."""

    fingerprint: str
    about: str
    """In words."""

    contents: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    look: _Look | None = None


def _identified(sweep: Sweep, store: Store, path: Path) -> Identified:
    masks, of_masks, problems = read_masks(sweep)
    if problems:
        raise SpecError([f"{path}: {text}" for text in problems])
    known = store.contents()
    loaded = [load_data(sweep, path)] if sweep.has_own_data else []
    given = sweep.fingerprints or Fingerprints()
    parts: dict[str, _Part] = {}
    try:
        for data in loaded:
            parts["dataset"] = part = _of_data(sweep, data, known)
            _check_given(
                "dataset", given.dataset, part.fingerprint, f"the data in {sweep.data_dir}"
            )
        if sweep.has_own_network:
            shape = loaded[0].shape if loaded else _published_shape(sweep)
            parts["model"] = part = _of_network(sweep, shape, known)
            _check_given("model", given.model, part.fingerprint, sweep.model)
        _check_alike({key: part.look for key, part in parts.items() if part.look is not None})
        score = _of_score(sweep.prune.strategy) if sweep.has_own_score else None
        if score is not None:
            _check_given("score", given.score, score, sweep.prune.strategy)
        for where, here in of_masks.items():
            _check_given(f"masks.{where}", (given.masks or {}).get(where), here, where)
        weights = None
        if sweep.initial_weights is not None:
            weights = _of_weights(sweep.initial_weights)
            _check_given(
                "initial_weights", given.initial_weights, weights, sweep.initial_weights.file
            )
    except ValueError as error:
        raise SpecError([f"{path}: {error}"]) from error
    found = Fingerprints(
        **{key: part.fingerprint for key, part in parts.items()},
        score=score,
        masks=of_masks or None,
        initial_weights=weights,
    )
    return Identified(
        sweep.model_copy(update={"fingerprints": found}),
        loaded,
        masks,
        [content for part in parts.values() for content in part.contents],
        [*(note for part in parts.values() for note in part.notes), *_of_all_seeds(sweep)],
        {_WORDS[key]: part.about for key, part in parts.items()},
    )


_WORDS = {"dataset": "data", "model": "pruned"}


def _of_score(path: str) -> str:
    try:
        return fingerprint_of(path)
    except ValueError as error:
        raise ValueError(f"`prune.strategy`: {error}") from error


def _of_all_seeds(sweep: Sweep) -> list[str]:
    given = sweep.initial_weights
    if given is None or given.fresh:
        return []
    return [f"every seed starts from {given.file}: they differ only by the order of the images"]


def _of_weights(given: InitialWeights) -> str:
    try:
        content = Path(given.file).expanduser().read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"`initial_weights.file`: {given.file} cannot be read: {why}") from error
    return pretrained.fingerprint(content, given.fresh)


def _published_shape(sweep: Sweep) -> "AnyShape":
    from lt_core.data.contents import SHAPES

    return SHAPES[sweep.dataset]


def load_data(sweep: Sweep, path: Path) -> "DataSet":
    """The data set of a sweep.

    Raises:
        SpecError: when it cannot be loaded.
    """
    from lt_core import data

    try:
        return data.load(sweep.dataset, sweep.data_dir)
    except (ValueError, OSError) as error:
        raise SpecError([f"{path}: `dataset`: {error}"]) from error


def hold(sweep: Sweep, data: "DataSet", store: Store, path: Path) -> Sequence[Mapping[str, Any]]:
    """Hold a data set with a published content against that of the store's results.

    Returns:
        What the store does not have of it.

    Raises:
        SpecError: when it is another.
    """
    from lt_core.data.contents import PUBLISHED, fingerprint

    if sweep.has_own_data or sweep.dataset in PUBLISHED:  # which its loader looks at
        return ()
    here = fingerprint(data)
    before = _named(store.contents(), "dataset", sweep.dataset)
    if not before:
        return (_content("dataset", sweep.dataset, here),)
    if here not in before:
        raise SpecError(
            [
                f"{path}: `dataset`: {sweep.dataset} in {sweep.data_dir} is another than what this "
                f"store was trained on (fingerprint {here}, there {', '.join(before)}): its files "
                "may be damaged or of another version; mend them, or use another --out"
            ]
        )
    return ()


def _check_given(key: str, given: str | None, here: str, what: str) -> None:
    if given is not None and given != here:
        raise ValueError(
            f"`fingerprints.{key}`: must be {here}, which {what} has now, got {given}: "
            "it has changed since; without this key it is taken as it is, and trained anew"
        )


def _content(kind: str, name: str, fingerprint: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "fingerprint": fingerprint, "at": time.time(), **more}


def _named(
    contents: Sequence[Mapping[str, Any]], kind: str, name: str
) -> dict[str, Mapping[str, Any]]:
    """By fingerprint, in the order in which they were first seen."""
    of_name = (c for c in contents if (c["kind"], c["name"]) == (kind, name))
    return {c["fingerprint"]: c for c in sorted(of_name, key=lambda c: c["at"])}


def _of_data(sweep: Sweep, loaded: "DataSet", known: Sequence[Mapping[str, Any]]) -> _Part:
    from lt_core.data.contents import fingerprint

    here, about = fingerprint(loaded), data_in_words(loaded)
    before = _named(known, "dataset", sweep.dataset)
    if here in before:
        return _Part(here, about, (), before[here].get("shared", ()))
    look = None
    if ":" in sweep.dataset:
        look = _Look(
            (sweep.dataset, sweep.data_dir),
            lambda there: bool(there == here),
            "loaded twice, in two processes, it gives other data: each launch would train and test "
            "on others. Split by a fixed seed, and sort what comes from a set or a folder",
        )
    shared = shared_in_words(loaded)
    place = os.fsencode(sweep.data_dir).decode(errors="backslashreplace")
    content = _content("dataset", sweep.dataset, here, data_dir=place, shared=shared)
    others = [_others("data", sweep.dataset, before)] if before else []
    return _Part(here, about, (content,), (*others, *shared), look)


def _others(what: str, name: str, before: Mapping[str, Mapping[str, Any]]) -> str:
    *_, last = before.values()
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
    place = f", in {last['data_dir']}" if "data_dir" in last else ""
    return (
        f"{name}: other {what} than at the last launch of that name ({day}{place}). What that "
        "trained is kept and not used: all is trained for this"
    )


def _check_alike(looks: Mapping[str, _Look]) -> None:
    found = look_again({key: look.arguments for key, look in looks.items()}) if looks else {}
    for key, look in looks.items():
        if not look.is_alike(found[key]):
            raise ValueError(f"`{key}`: {look.arguments[0]}: {look.otherwise}")


def _of_network(sweep: Sweep, shape: "AnyShape", known: Sequence[Mapping[str, Any]]) -> _Part:
    from lt_core.own_network import NetworkContent, content

    try:
        here = content(sweep.model, shape)
    except ValueError as error:
        raise ValueError(f"`model`: {error}") from error
    about, notes = _pruned(sweep, shape), []
    if not here.is_seeded:
        notes.append(
            f"{sweep.model}: its initialization is the same for every seed: seeds differ only by "
            "the order of the images"
        )
    sizes = _sizes(shape)
    same_shape = [record for record in known if record.get("shape") == sizes]
    before = _named(same_shape, "model", sweep.model)
    for fingerprint, record in before.items():
        there = NetworkContent.from_json(record["content"])
        if not here.is_like(there):
            continue
        if here.source == there.source:
            return _Part(fingerprint, about, (), notes)
        notes.append(
            f"{sweep.model}: its file was changed, and it computes what it did: what was trained "
            "is used"
        )
        return _Part(fingerprint, about, ({**record, "content": here.to_json()},), notes)
    look = _Look(
        (sweep.model, json.dumps(vars(shape))),
        lambda there: here.is_like(NetworkContent.from_json(there)),
        "built in two processes from one seed, it is two networks: each trial would have another. "
        "Seed by nothing that a process has of its own, such as hash(), and sort what comes from a "
        "set",
    )
    if before:
        notes.append(_others("layers or weights", sweep.model, before))
    of_network = {"shape": sizes, "content": here.to_json()}
    new = _content("model", sweep.model, here.fingerprint, **of_network)
    return _Part(here.fingerprint, about, (new,), notes, look)


def _sizes(shape: "AnyShape") -> list[int] | dict[str, int]:
    """As the store has them; of images without names, as before there was anything else."""
    from lt_core.data.shapes import Shape

    if isinstance(shape, Shape):
        return [shape.channels, *shape.image_size, shape.classes]
    return dict(vars(shape))


def _pruned(sweep: Sweep, shape: "AnyShape") -> str:
    from lt_core import models
    from lt_core.mask import dense

    network = models.build(sweep.model, **vars(shape), seed=sweep.seeds[0])
    try:
        return pruned_in_words(network, dense(network, sweep.prune.skip))
    except ValueError as error:
        raise ValueError(f"`prune`: {error}") from error
