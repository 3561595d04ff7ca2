"""Whatever a sweep file says and a command line asks for, the answer is a plan or clear mistakes.

Not random noise: sweep files that are nearly right, and what people and programs write by mistake
or by malice. The same cases in every run.
"""

import copy
import gc
import io
import itertools
import json
import os
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from tiny_sweep import TINY

from lt_core.config import Recipe
from lt_core.names import DATA_SETS, MODELS
from tune_app import launch, signals
from tune_app.run import estimate, plan_words
from tune_app.sweep import sweep

SWEEPS = Path(__file__).parents[2] / "sweeps"
# Those of own code run it, which is for other tests.
TEXTS = [path.read_text() for path in sorted(SWEEPS.glob("*.yaml"))]
SHIPPED = [TINY, *(text for text in TEXTS if "sweeps.examples" not in text)]

MAX_TRAININGS = 3000
"""In place of a million, so that what is just allowed is planned in no time."""

MAX_S = 120  # a guard against hanging, with room for a busy machine
"""A case takes a hundredth of a second, a plan that is just allowed half of one."""

MAX_MORE_BYTES = 4 * 1024**3
"""Of addresses: what endless input takes fails, and does not take the machine along."""


@pytest.fixture(autouse=True, scope="module")
def _in_a_folder_of_its_own(tmp_path_factory):
    """With what a sweep file may extend in it; and nothing that a launch sets outlives it."""
    folder = tmp_path_factory.mktemp("fuzz")
    for path in SWEEPS.glob("*.yaml"):
        shutil.copy(path, folder)
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "folder").mkdir()
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "unreadable.yaml").write_text(TINY)
    (folder / "unreadable.yaml").chmod(0)
    threshold = gc.get_threshold()
    limit = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + MAX_MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, limit[1]))
    with pytest.MonkeyPatch.context() as monkey:
        monkey.chdir(folder)
        monkey.setattr(sweep, "MAX_TRAININGS", MAX_TRAININGS)
        monkey.setattr(signals, "obey", lambda: None)
        # A dry run never gets here; should one, nothing is to be trained.
        monkey.setattr(launch.Store, "create", lambda store: pytest.fail("starts a run"))
        yield
    gc.set_threshold(*threshold)
    resource.setrlimit(resource.RLIMIT_AS, limit)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail, and do not wait, when it takes longer."""

    def stop(number, frame):
        raise AssertionError(f"takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check(*arguments: str) -> None:
    """Dry-run the command line and see that it keeps its promise."""
    files = sorted(Path().rglob("*"))
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # as strict as a terminal
    stderr = io.StringIO()
    planned = []

    def plan_text(*parts):
        planned.append(parts)
        return shown(*parts)

    shown = plan_words.plan_text
    with (
        patch.object(plan_words, "plan_text", plan_text),
        patch.object(estimate, "_probed", side_effect=estimate.NotKnown("no time")),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        at_most(MAX_S),
    ):
        code = launch.main(["--dry-run", "--out", "runs", *arguments])
    stdout.flush()
    out, err = stdout.buffer.getvalue().decode(), stderr.getvalue()

    assert sorted(Path().rglob("*")) == files
    if out.startswith("Usage: "):  # --help
        assert (code, err) == (0, "")
    elif err.endswith("--help` shows what it takes\n"):
        assert (code, out, err.count("\n")) == (2, "", 1)
    elif code == 2:
        assert out == "" and not planned
        check_problems(err)
    else:
        assert code == 0 and err == ""
        if "\nlooks for " in out:  # a search, which has no plan
            assert not planned and "\nends after " in out
            return
        ((sweep, plan, to_do),) = planned
        check_plan(sweep, plan, to_do)
        check_totals(out, len(plan.trainings))


def check_problems(err: str) -> None:
    assert err.startswith("error: ") and err.endswith("\n")
    problems = err.removeprefix("error: ").removesuffix("\n").split("\n")
    assert len(set(problems)) == len(problems)
    for problem in problems:
        assert problem.isprintable()
        where = re.match(r"(command line \(.*\)|(?P<path>.+?)(:(?P<line>[1-9]\d*))?): \S", problem)
        assert where, problem
        if where["line"]:
            text = Path(where["path"]).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            assert int(where["line"]) <= text.count(b"\n") + 1


def check_plan(sweep, plan, to_do) -> None:
    run = Path("runs", sweep.name)
    assert Path(os.path.normpath(run)).parent == Path("runs")
    assert run.name == sweep.name
    assert not sweep.name.startswith((".", "_", "mlflow.db"))  # _store, for one

    rounds = [training for chain in plan.chains for training in chain.trainings]
    evaluations = {training.id for training in plan.evaluations}
    assert len(evaluations) == len(plan.evaluations)
    assert evaluations.isdisjoint(training.id for training in rounds)
    requested = [id for row in plan.rows for id in row.requested]
    assert set(requested) == set(plan.trainings) == to_do.trainings
    assert len(requested) <= MAX_TRAININGS
    for training in (*rounds, *plan.evaluations):
        assert re.fullmatch("[0-9a-f]{20}", training.id)
        assert training.seed in sweep.seeds
        assert 0 <= training.round <= sweep.prune.num_rounds
        assert training.ticket is None or training.ticket in plan.chain_of_ticket


def check_totals(out: str, num_trainings: int) -> None:
    at = out.rindex("\ntrainings ")
    rows = out[at:].strip("\n").split("\n\n")[0].splitlines()[1:]
    counts = [[int(n.replace(",", "")) for n in row.split()[-4:]] for row in rows]
    for requested, shared, done, to_do in counts:
        assert requested == shared + done + to_do
        assert done == 0
    assert counts[-1] == [sum(column) for column in zip(*counts[:-1], strict=True)]
    assert counts[-1][3] == num_trainings


def check_text(text: str) -> None:
    write("case.yaml", text)
    check("case.yaml")


def write(name: str, text: str) -> None:
    Path(name).write_bytes(text.encode("utf-8", "surrogatepass"))


pytestmark = pytest.mark.fuzz
FUZZ = settings(suppress_health_check=[HealthCheck.too_slow])


# ---- what nobody should write


def words(text: str) -> list[str]:
    return text.split()


def weighted(*strategies: tuple[int, st.SearchStrategy]) -> st.SearchStrategy:
    """Some more often than others; `one_of` takes each as often, whatever is in it."""
    return st.sampled_from([each for weight, each in strategies for _ in range(weight)]).flatmap(
        lambda strategy: strategy
    )


LAUGHS = [f"&{name} [{f'*{below}, ' * 9}]" for below, name in itertools.pairwise("abcdefgh")]
HOSTILE = [
    *words(
        """null ~ .nan .inf -.Inf 1e400 -1e400 1e-400 0 -0 -0.0 -1 1 2 3 1.0 0.5 1e9 1e308 +1 012
        1_000 0x1F 0o17 0b1 0x true no off y 2020-01-01 2020-99-99 2020-01-01T00:00:00Z 12:30:45
        0ep 1ep 3it 9999999999999ep -1ep 1.5ep ep1 ep 16 auto x:y a:b:c os:system a.b:c
        .. . ./ / ../x /etc/x ~/x a/b a\\b ../../x .hidden -x --out mlflow.db mlflow.db-wal CON
        é Ⅷ ١ 🎲 [] {} [[]] [[[1]]] [{}] [1,1] {values:[]} {values:[1,1]} {values:{}} {values}
        '' "" "\\0" "\\x1b[2J" "\\ud800" "\\n" "\\u2028" "a\\tb" 'it''s' "\\q"
        & * ! % @ ` | > - ? : , # [ ] { } ' " --- ... << = *a &a !x !!float !!python/name:os.system
        """
    ),
    "' '",
    "{a: 1}",
    "{a: 1, a: 2}",
    "{1: 2}",
    "{null: 2}",
    "{[1]: 2}",
    "{<<: {lr: 1}}",
    '{"\\ud800": 1}',
    "&a x",
    "&a [*a]",
    "!!str 1",
    "!!int x",
    "!!binary aGk=",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!timestamp x",
    "!!python/object/apply:os.system ['touch ran']",
    "!!python/object/new:subprocess.Popen [['touch', 'ran']]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch ran']",
    "9" * 400,
    "9" * 5000,
    "-" + "9" * 299,
    "0x" + "f" * 298,
    "x" * 101,
    "x" * 3000,
    "[" * 150 + "]" * 150,
    "{a: " * 150 + "}" * 150,
    "[" * 1000,
    f"[&a [x, x], {', '.join(LAUGHS)}]",
    f"[{', '.join(map(str, range(400)))}]",
    f"[{', '.join(str(i / 2000) for i in range(1, 2000))}]",
    f"{{values: [{', '.join(map(str, range(1, 400)))}]}}",
    f"{{values: [{', '.join(f'{i}ep' for i in range(1, 400))}]}}",
]
RAW = weighted(
    (4, st.sampled_from(HOSTILE)),
    (1, st.integers().map(str)),
    (1, st.floats().map(str)),
    (1, st.text("[]{}&*!|>%@#:,-?'\"\\ \n\tax1.=<\x00\x85\u2028\ufeffé🎲", max_size=12)),
    (1, st.text(st.characters(), max_size=6)),
)
KEYS = st.sampled_from(
    [
        *Recipe.model_fields,
        *words(
            """name description model dataset data_dir seeds train prune find eval rewind baselines
            select_on resources_per_trial checkpoint_every max_failures parameters lpr_from values
            at_sparsity rewind_from strategy fraction layer_fractions skip shrink rounds
            final_sparsity one_shot method to cpu gpu extends learning_rate epochs seed vals
            price_per_hour"""
        ),
    ]
)


# ---- sweep files that are nearly right


@st.composite
def edited(draw) -> str:
    """A sweep file of which a line or two are lost, repeated, or partly overwritten."""
    lines = draw(st.sampled_from(SHIPPED)).splitlines()
    for _ in range(draw(st.integers(1, 2))):
        at = draw(
            st.sampled_from([i for i, line in enumerate(lines) if not line.startswith("#")] or [0])
        )
        lines[at : at + 1] = draw(edits_of(lines[at])) or [""]
    return draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])).join(lines)


def edits_of(line: str) -> st.SearchStrategy[list[str]]:
    """The lines in its place."""
    key, colon, value = line.partition(":")
    indent = line[: len(line) - len(line.lstrip())]

    def with_raw(pattern: str) -> st.SearchStrategy[list[str]]:
        return RAW.map(lambda raw: [re.sub(pattern, lambda _: raw, line, count=1)])

    return st.one_of(
        st.just([]),
        st.just([line, line]),
        st.just([f"#{line}"]),
        st.just([line.replace(" ", " #", 1)]),
        st.just([line.lstrip()]),
        st.just([f"{key}{colon} &a{value}", f"{indent}<<: *a"]),
        KEYS.map(lambda other: [f"{key}{colon} &a{value}", f"{indent}{other}: *a"]),
        KEYS.map(lambda other: [f"{indent}{other}{colon}{value}"]),
        RAW.map(lambda raw: [f"{indent}{raw}{colon}{value}"]),
        RAW.map(lambda raw: [f"{key}{colon} {raw}"]),
        RAW.map(lambda raw: [raw, line]),
        with_raw(r"\d+"),
        with_raw(r"(?<=\[)[^],]*"),
        st.builds(lambda other, raw: [f"{indent}{other}: {raw}", line], KEYS, RAW),
        st.sampled_from([" ", "  ", "\t", "- ", "? "]).map(lambda more: [f"{more}{line}"]),
        st.integers(0, len(line)).map(lambda column: [line[:column]]),
    )


class Raw(str):
    """YAML as it is, in place of a value or a key."""


def flow(value) -> str:
    """The value as YAML on one line."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(name)}: {flow(below)}' for name, below in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return json.dumps(value)


TREES = [YAML(typ="safe", pure=True).load(text) for text in SHIPPED]


def holders(tree) -> Iterator[dict | list]:
    """Every mapping and list in the tree that is not empty."""
    if isinstance(tree, dict | list) and tree:
        yield tree
        for below in tree.values() if isinstance(tree, dict) else tree:
            yield from holders(below)


@st.composite
def mutated(draw) -> str:
    """A sweep of which some keys and items are deleted, renamed, repeated, or another value."""
    sweep = copy.deepcopy(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from(list(holders(sweep)) or [{"x": 0}]))
        key = draw(
            st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder)))
        )
        old = holder[key]
        match draw(st.sampled_from(["delete", "replace", "replace", "wrap", "rename", "repeat"])):
            case "delete":
                del holder[key]
            case "replace":
                holder[key] = Raw(draw(RAW))
            case "wrap":
                others = [[old], {"values": [old]}, [old, old], str(old)]
                holder[key] = draw(st.sampled_from(others))
            case "rename" if isinstance(holder, dict):
                holder[draw(KEYS | RAW.map(Raw))] = holder.pop(key)
            case "repeat" if isinstance(holder, list):
                holder.append(old)
    return flow(sweep)


# ---- sweep files out of the schema


def mapping(required: dict, optional: dict) -> st.SearchStrategy[dict]:
    """One that is right, but for a value here and there."""
    fields = {
        name: weighted((40, right), (1, RAW.map(Raw)))
        for name, right in (required | optional).items()
    }
    return st.fixed_dictionaries(
        {name: fields[name] for name in required},
        optional={name: fields[name] for name in optional if name not in required},
    )


def some(items: st.SearchStrategy, at_least: int = 1) -> st.SearchStrategy[list]:
    return st.lists(items, min_size=at_least, max_size=3, unique_by=str)


def steps(least: int, most: int) -> st.SearchStrategy[str]:
    unit = st.sampled_from(["ep", "ep", "ep", "it"])
    return st.builds("{}{}".format, st.integers(least, most), unit)


MILESTONES = st.lists(st.integers(1, 8), max_size=3, unique=True).map(
    lambda epochs: [f"{epoch}ep" for epoch in sorted(epochs)]
)
RECIPE = {
    "lr": st.floats(1e-4, 10) | st.sampled_from([0.1, 1e308, 5e-324, 1]),
    "batch_size": st.integers(1, 512),
    "micro_batch": st.integers(1, 64) | st.none(),
    "weight_decay": st.floats(0, 1) | st.sampled_from([-0.0, 0]),
    "optimizer": st.sampled_from(["sgd", "sgd", "sgd", "nesterov", "adamw"]),
    "momentum": st.floats(0, 0.99),
    "clip_norm": st.floats(1e-3, 10) | st.none(),
    "label_smoothing": st.floats(0, 0.9),
    "ema": st.floats(0.01, 0.999) | st.none(),
    "duration": steps(8, 40),
    "stop": steps(1, 10) | st.none(),
    "warmup": steps(0, 10),
    "decay": st.sampled_from(["milestones", "milestones", "milestones", "cosine", "linear"]),
    "milestones": weighted((3, MILESTONES), (1, some(steps(0, 10), at_least=0))),
    "gamma": st.floats(0.01, 1),
    "order_seed": st.integers(0, 9) | st.none(),
    "precision": st.sampled_from(["fp32", "bf16", "auto"]),
}
REQUIRED = {name: RECIPE[name] for name in ("lr", "batch_size", "duration")}
VARIED = {name: mapping({"values": some(values)}, {}) for name, values in RECIPE.items()}
SPACE = st.sets(st.sampled_from(list(RECIPE)), max_size=2).flatmap(
    lambda names: mapping({name: VARIED[name] for name in sorted(names)}, {})
)
SHARE = st.floats(0.01, 0.99) | st.sampled_from([0.5, 1e-300, 1 - 2**-53])
SHARES = st.lists(SHARE, min_size=1, max_size=4, unique=True).map(sorted)
ROUNDS = {
    "rounds": weighted((6, st.integers(1, 12)), (1, st.sampled_from([999, 1000, 1001, 10**9])))
}
ONE_SHOT = {"one_shot": SHARES}
LAYER = st.sampled_from(["fc", "conv", "", "é", "conv.0", "x" * 300])
PRUNING = {
    "fraction": SHARE,
    "skip": some(LAYER, at_least=0),
    "layer_fractions": st.dictionaries(LAYER, SHARE, max_size=2),
}
LAYERWISE = {"strategy": st.just("layerwise_magnitude")}
FILTERS = {"strategy": st.just("filter_l1")}
REWIND = mapping(
    {},
    {
        "method": st.sampled_from(["weights", "weights", "learning_rate", "fine_tuning"]),
        "to": steps(0, 8),
    },
)
BY_SCHEMA = mapping(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", fullmatch=True),
        "model": st.sampled_from([*MODELS, "nets:make", "a.b:c.d"]),
        "dataset": st.sampled_from([*DATA_SETS, "data:load"]),
        "seeds": some(st.integers(0, 9))
        | some(st.integers())
        | st.integers(1, 500).map(range).map(list),
        "train": mapping(REQUIRED, RECIPE),
        "prune": st.one_of(
            mapping(ROUNDS, {"fraction": SHARE}),
            mapping(ROUNDS | LAYERWISE, PRUNING),
            mapping({"final_sparsity": SHARE}, {"fraction": SHARE}),
            mapping(ONE_SHOT, {}),
            mapping(ONE_SHOT | FILTERS, {"shrink": st.booleans()}),
            mapping({}, ROUNDS | ONE_SHOT | FILTERS | PRUNING),
        ),
    },
    {
        "description": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "data_dir": st.text("./~a", max_size=5),
        "find": mapping({}, {"parameters": SPACE, "train": mapping({}, RECIPE), "rewind": REWIND}),
        "eval": mapping(
            {},
            {
                "parameters": SPACE,
                "at_sparsity": SHARES,
                "rewind_from": st.sampled_from(["find", "eval"]),
                "rewind": REWIND,
            },
        ),
        "rewind": REWIND,
        "baselines": some(st.sampled_from(["global_random", "preserve_lpr", "reinit"]), at_least=0),
        "select_on": st.sampled_from(["validation", "test"]),
        "resources_per_trial": mapping(
            {},
            {
                "cpu": st.integers(1),
                "gpu": st.floats(0, 1),
                "price_per_hour": st.floats(0, exclude_min=True, allow_infinity=False),
            },
        ),
        "checkpoint_every": st.sampled_from(["10min", "5ep", "999999ep"]),
        "max_failures": st.integers(0),
    },
)


# ---- bytes


DEBRIS = [
    *(b"\0", b"\t", b"\r", b"\x1a", b"\x7f", b"\x1b[2J", b"%", b"...\n", b"---\n", b"%YAML 1.1\n"),
    *("\ufeff".encode(), "\x85".encode(), "\u2028".encode(), "🎲".encode()),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
]


@st.composite
def damaged(draw) -> bytes:
    """A sweep file after an editor, a disk or another program had it."""
    content = draw(st.sampled_from(SHIPPED)).encode()
    at = draw(st.integers(0, len(content)))
    encoding = draw(st.sampled_from(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7"]))
    byte = st.integers(0, 255).map(lambda value: bytes([value]))
    return draw(
        st.one_of(
            st.just(content[:at]),
            st.just(content[at:]),
            st.just(content[:at] + content),
            st.just(content.replace(b"  ", b"\t")),
            st.just(content.replace(b"\n", b"\r\n")),
            st.just(content.decode().encode(encoding)),
            byte.map(lambda byte: content[:at] + byte + content[at + 1 :]),
            st.sampled_from(DEBRIS).map(lambda debris: content[:at] + debris + content[at:]),
            st.sampled_from(DEBRIS).map(lambda debris: debris + content),
        )
    )


# ---- files that extend files


FILES = ("a.yaml", "b.yaml", "c.yaml", "d.yaml")
BASES = [
    *[*FILES, "lr_grid.yaml", "tiny.yaml"] * 4,
    *words(
        """./a.yaml folder/../b.yaml a.yaml/ a.yaml/x A.YAML ~/a.yaml structured_lr.yaml
        missing.yaml folder . .. / loop.yaml unreadable.yaml /dev/null /dev/zero /dev/full é.yaml"""
    ),
    *("", " ", "x" * 300, "x/" * 3000, "a\0b", "a\nb.yaml"),
]
BASE = st.sampled_from(BASES).map(json.dumps)
SEVERAL = st.lists(BASE, max_size=3).map(lambda bases: f"[{', '.join(bases)}]")
TEXTS = [TINY, TINY, "name: x\n", "train: {lr: 1}\n", "find: null\n"]
EXTENDING = st.builds(
    "extends: {}\n{}".format,
    weighted((4, BASE), (4, SEVERAL), (1, RAW)),
    st.sampled_from(TEXTS),
)


# ---- command lines


SWEEP_PATHS = st.sampled_from(
    [
        *["tiny.yaml", "lr_grid.yaml", "structured_lr.yaml"] * 30,
        *words(
            """./tiny.yaml folder/../tiny.yaml tiny.yaml/ tiny.yaml/x missing.yaml folder . / ~ *
            loop.yaml unreadable.yaml /dev/null /dev/zero /dev/full /proc/self/mem é.yaml
            \udcff.yaml s3://bucket/x.yaml - -- @tiny.yaml %s"""
        ),
        *("", " ", "a\nb", "x" * 300, "x/" * 3000),
    ]
)
GOOD = words(
    """name=x model=resnet20 seeds=[5] train.lr=1 train.milestones=[] train.duration=20ep
    prune.rounds=3 prune.rounds=null prune.final_sparsity=0.9 prune.fraction=0.5 find={}
    find.parameters.lr=null eval.parameters.gamma.values=[1,0.1] eval.at_sparsity=[0.5]
    resources_per_trial.gpu=0.5 baselines=[]"""
)
ODD_KEYS = [
    *words(
        """name seeds train train.lr train.duration train.milestones prune prune.rounds
        prune.fraction prune.final_sparsity prune.one_shot find eval find.parameters find.lpr_from
        eval.parameters.lr find.parameters.duration.values eval.at_sparsity description extends
        resources_per_trial.gpu a..b .a a. . .. seeds[0] seeds.0 train.lr.values name.x
        description.a é \udcff train.\udcff --lr -lr @x %s"""
    ),
    *("", " ", " lr", "lr\n", "a." * 150 + "a", "description." + "a." * 90 + "a", "x" * 1000),
]
ARGUMENT = RAW.filter(lambda text: "\0" not in text)  # which ends an argument
OVERRIDE = weighted(
    (7, st.sampled_from(GOOD)),
    (3, st.builds("{}={}".format, st.sampled_from(ODD_KEYS), ARGUMENT)),
    (1, st.builds("{}={}".format, st.lists(KEYS | ARGUMENT, max_size=4).map(".".join), ARGUMENT)),
    (1, ARGUMENT),
)
DIRECTORIES = words("folder tiny.yaml /dev/null a/../b é - ~")
OPTION = st.one_of(
    st.sampled_from(
        words(
            """--dry-run --dry --d --dry-run=1 --out --out= --store --store= --o --s --resume -x -1
            -- - --help -h --é --\udcff --%(prog)s -n5 --seeds=3 --train.lr=1 -train.lr=1"""
        )
    ).map(lambda option: [option]),
    st.tuples(st.just("--out"), st.sampled_from([*DIRECTORIES, "", "x" * 300])),
    st.tuples(
        st.just("--store"),
        st.sampled_from(
            [
                *DIRECTORIES,
                # Nothing that is asked for over a network.
                *words("s4://x s3:// s3:/// s3://b?x=1 :// http://x file:// file:///nowhere gs://"),
                *("", "x" * 300, "s3://a b"),
            ]
        ),
    ),
)
OPTIONS = weighted((2, st.just([])), (1, st.lists(OPTION, max_size=2))).map(
    lambda options: [*itertools.chain(*options)]
)
COMMAND_LINE = st.builds(
    lambda *parts: [*itertools.chain(*parts)],
    OPTIONS,
    SWEEP_PATHS.map(lambda path: [path]),
    st.lists(OVERRIDE, max_size=3),
    OPTIONS,
)


# ---- the promise


@FUZZ
@given(edited())
def test_any_edit_of_a_sweep_file_is_a_plan_or_told_with_its_place(text):
    check_text(text)


@FUZZ
@given(mutated())
def test_any_key_and_value_is_a_plan_or_told_with_its_place(text):
    check_text(text)


@FUZZ
@given(BY_SCHEMA.map(flow))
def test_any_sweep_of_the_schema_is_a_plan_or_told_with_its_place(text):
    check_text(text)


@FUZZ
@given(damaged() | st.binary(max_size=30))
def test_any_bytes_are_a_plan_or_told_with_their_place(content):
    Path("case.yaml").write_bytes(content)
    check("case.yaml")


@FUZZ
@given(st.tuples(EXTENDING, *[EXTENDING | st.sampled_from(TEXTS)] * 3))
def test_any_files_that_extend_each_other_are_a_plan_or_told_with_their_place(texts):
    for name, text in zip(FILES, texts, strict=True):
        write(name, text)
    check(FILES[0])


@FUZZ
@given(COMMAND_LINE)
def test_any_command_line_is_a_plan_or_told(arguments):
    check(*arguments)


NAMES = st.one_of(
    st.text("./\\~-_aZ9 é\0\n", max_size=6),
    st.lists(st.sampled_from(["..", ".", "", "a", "~", "/"])).map("/".join),
    st.sampled_from(["_store", "_mlflow_artifacts", "mlflow.db", "mlflow.db-wal", "a" * 300]),
)


@FUZZ
@given(NAMES)
def test_no_name_leads_out_of_the_directory_or_into_what_lies_there(name):
    check("tiny.yaml", f"name={json.dumps(name)}")
