"""A user's own data and networks: right, or refused before anything starts."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sweep import TINY, launch_apart, num_trained, read_results, run_here

from tune_app import launch as launch_command
from tune_app.export.__main__ import main as export_main
from tune_app.plan.plan import make_plan
from tune_app.run.identity import identify, remember
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError

SWEEP = """\
name: own
model: {model}
dataset: {dataset}
seeds: [0]
train: {{lr: 0.05, batch_size: 4, duration: 2it}}
prune: {{fraction: 0.5, rounds: 1}}
find: {{parameters: {{lr: {{values: [0.05]}}}}}}
"""
# One chain of two rounds, and nothing else.

NETS = """\
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, channels, classes, image_size):
        super().__init__()
        height, width = image_size
        self.hidden = nn.Linear(channels * height * width, 16)
        self.out = nn.Linear(16, classes)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x.flatten(1))))


def make(**shape):
    return Net(**shape)
"""

DATA = """\
import numpy as np

from lt_core.data import DataSet, Split


def load(data_dir):
    labels = np.arange(40) % 2
    noise = np.random.RandomState(0).randint(0, 60, (40, 1, 4, 4))
    images = (noise + 100 * labels[:, None, None, None]).astype(np.uint8)
    order = {order}
    parts = order[:20], order[20:30], order[30:]
    return DataSet("own", *(Split(images[part], labels[part]) for part in parts), classes=2)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder that a user starts from, with `own_nets.py` and `own_data.py`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "own_data.py").write_text(DATA.format(order="np.arange(40)"))
    (tmp_path / "own.yaml").write_text(SWEEP.format(model="own_nets:make", dataset="own_data:load"))
    yield tmp_path
    _forget()


def _forget() -> None:
    """As in the process of another launch."""
    for name in ("own_nets", "own_data"):
        sys.modules.pop(name, None)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # its time is in whole seconds
    _forget()


def dry_run(*arguments):
    return run_here(launch_command.main, *arguments, "--dry-run")


def to_do(done) -> int:
    [total] = re.findall(r"^total .* (\d+)$", done.stdout, re.MULTILINE)
    return int(total)


# ---- one network


def test_an_edited_network_is_trained_anew_and_the_old_one_is_kept(place, launch):
    """Launches train; between them, dry runs."""
    first = launch("own.yaml", "--out", "runs")
    assert first.returncode == 0, first.stderr
    # 4 x 4 x 16 + 16 x 2 weights, 16 + 2 biases.
    assert "prunes          288 of 306 parameters; never: biases and norms (18)" in first.stderr
    assert (
        "data            2 classes, 1x4x4: 20 images to train, 10 to validate, 10 to"
        in first.stderr
    )
    before = read_results(place / "runs", "own")
    assert to_do(dry_run("own.yaml")) == 0

    edit(place / "own_nets.py", "def make", "# better\ndef make")
    commented = dry_run("own.yaml")
    assert to_do(commented) == 0
    assert "prunes          288 of 306 parameters; never: biases and norms (18)" in commented.stdout
    assert "own_nets:make: its file was changed, and it computes what it did" in commented.stdout

    edit(place / "own_nets.py", "F.relu", "F.gelu")
    edited = dry_run("own.yaml")
    assert to_do(edited) == 2
    assert "own_nets:make: other layers or weights than at the last launch" in edited.stdout
    second = launch("own.yaml", "--out", "runs")
    assert second.returncode == 0, second.stderr
    assert num_trained(second.stderr) == 2
    after = read_results(place / "runs", "own-2")
    assert {line["id"] for line in after}.isdisjoint(line["id"] for line in before)
    assert len(Store(str(place / "runs" / "_store")).stored().results) == 4

    edit(place / "own_nets.py", "F.gelu", "F.relu")
    assert to_do(dry_run("own.yaml")) == 0

    pinned = place / "runs" / "own-2" / "sweep.yaml"
    refused = run_here(launch_command.main, pinned, "--check")
    assert refused.returncode == 2
    assert "`fingerprints.model`: must be " in refused.stderr
    assert "which own_nets:make has now" in refused.stderr
    exported = run_here(export_main, place / "runs" / "own-2", "--best")
    assert exported.returncode == 2
    assert "`fingerprints.model`: must be " in exported.stderr


@pytest.mark.nightly
def test_what_fails_twice_alike_in_a_trial_is_told_with_its_line_and_what_it_printed(place):
    edit(
        place / "own_nets.py",
        "        return self.out",
        "        import ray\n"
        "        if ray.is_initialized() and self.training:\n"
        "            print('a batch of', len(x))\n"
        "            x = x.no_such_name\n"
        "        return self.out",
    )
    done = launch_apart("own.yaml", "max_failures=5", PYTHONPATH=str(place))
    assert done.returncode == 3
    reason = (
        r"AttributeError: 'Tensor' object has no attribute 'no_such_name' "
        r"\(own_nets.py:16, in forward\)"
    )
    assert len(re.findall(f"^to be tried again: chain .*: {reason}$", done.stderr, re.M)) == 1
    assert len(re.findall(f"^failed: chain .*: {reason}$", done.stderr, re.M)) == 1
    [path] = re.findall(r"^  its traceback and what it printed: (.*)$", done.stderr, re.M)
    text = (place / path).read_text()
    assert 'own_nets.py", line 16, in forward' in text
    assert "printed by the trial:\na batch of 4\n" in text
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "x.flatten(1)",
            "x.detach().flatten(1)[:, :0]",
            "`model`: own_nets:make: the network fails on images [2, 1, 4, 4]: RuntimeError: mat1",
        ),
        (
            "return self.out(F.relu",
            "self.steps = getattr(self, 'steps', 0) + self.training\n"
            "        return self.out(self.steps + F.relu",
            "`model`: own_nets:make: a training that goes on from a checkpoint gives another",
        ),
        (
            "self.out = nn.Linear(16, classes)",
            "self.out = nn.Linear(16, classes).requires_grad_(False)",
            "`model`: own_nets:make: the weight of layer out is frozen (requires_grad=False); "
            '`prune.skip: ["out"]` leaves it out',
        ),
        (
            "return Net(**shape)",
            "import torch\n    torch.manual_seed(hash('a name') % 1000)\n    return Net(**shape)",
            "`model`: own_nets:make: built in two processes from one seed, it is two networks",
        ),
        (
            "return Net(**shape)",
            "return _one.setdefault(0, Net(**shape))\n\n_one = {}",
            "`model`: own_nets:make: called twice, it hands out the same hidden.weight",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_before_ray_starts(place, old, new, problem):
    edit(place / "own_nets.py", old, new)
    launched = run_here(launch_command.main, "own.yaml")
    assert launched.returncode == 2
    assert launched.stderr.startswith("error: own.yaml:2: `model`: ")
    assert problem in launched.stderr
    assert not (place / "runs" / "own").exists() and "starting Ray" not in launched.stderr


def test_a_check_refuses_what_a_launch_does(place):
    edit(place / "own_nets.py", "x.flatten(1)", "x.detach().flatten(1)[:, :0]")
    checked = run_here(launch_command.main, "own.yaml", "--check")
    assert checked.returncode == 2
    assert checked.stderr.startswith("error: own.yaml:2: `model`: own_nets:make: the network fails")


def test_a_check_says_what_is_read_and_pruned_and_writes_nothing(place):
    done = run_here(launch_command.main, "own.yaml", "--check")
    assert done.returncode == 0, done.stderr
    *_, data, prunes, checked = done.stdout.splitlines()
    assert (
        data == "data            2 classes, 1x4x4: 20 images to train, 10 to validate, 10 to test"
    )
    assert prunes == "prunes          288 of 306 parameters; never: biases and norms (18)"
    assert checked == "checked         a training of two steps"
    assert not (place / "runs").exists()


def test_a_network_that_is_alike_for_every_seed_is_said_to_be(place):
    edit(place / "own_nets.py", "return Net", "torch.manual_seed(0)\n    return Net")
    edit(place / "own_nets.py", "from torch import nn", "import torch\nfrom torch import nn")
    done = dry_run("own.yaml")
    assert done.returncode == 0, done.stderr
    assert "own_nets:make: its initialization is the same for every seed" in done.stdout


# ---- one data set

OURS = ["model=lenet_300_100"]
"""A network that needs no look."""


@pytest.mark.parametrize(
    "order",
    [
        "np.random.default_rng().permutation(40)",
        "np.array([int(x) for x in {str(i) for i in range(40)}])",
    ],
)
def test_a_split_that_is_another_in_each_launch_is_refused(place, order):
    (place / "own_data.py").write_text(DATA.format(order=order))
    with pytest.raises(SpecError, match=r"^own\.yaml: `dataset`: own_data:load: loaded twice, in "):
        identify(load_sweep("own.yaml", OURS), Store("runs/_store"), Path("own.yaml"))


def test_a_split_by_global_generators_is_the_same_in_each_launch(place):
    """They are seeded: each of the three draws an order, and these one after the other."""
    orders = (
        "np.random.permutation(40)",
        "np.array(__import__('random').sample(range(40), 40))",
        "__import__('torch').randperm(40).numpy()",
    )
    (place / "own_data.py").write_text(DATA.format(order="[".join(orders) + "]]"))
    fingerprints = set()
    for _ in range(2):
        _forget()
        identified = identify(load_sweep("own.yaml", OURS), Store("runs/_store"), Path("own.yaml"))
        fingerprints.add(identified.sweep.fingerprints.dataset)
    assert len(fingerprints) == 1


def test_a_loader_may_print_at_its_end_and_count_classes_with_numpy(place):
    edit(
        place / "own_data.py",
        "classes=2)",
        "classes=labels.max() + 1)\n\nimport atexit\natexit.register(print, 'bye')",
    )
    identified = identify(load_sweep("own.yaml"), Store("runs/_store"), Path("own.yaml"))
    assert identified.data[0].classes == 2 and type(identified.data[0].classes) is int
    store = Store("runs/_store")
    store.create()
    remember(identified.contents, store)
    assert len(store.contents()) == 2


def test_whatever_a_loader_raises_is_one_line(place):
    edit(place / "own_data.py", "np.arange(40) % 2", "{}['no key']")
    done = run_here(launch_command.main, "own.yaml", "--check")
    assert done.returncode == 2
    assert done.stderr == (
        "error: own.yaml:3: `dataset`: own_data:load(data_dir=data) fails: "
        "KeyError: 'no key' (own_data.py:7, in load)\n"
    )


def image_folder(folder: Path, bright: int) -> Path:
    """Ten images of each of two classes, a dark and a bright one, to train and to test."""
    for part in ("train", "test"):
        for name, value in (("dark", 10), ("light", bright)):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for i in range(10):
                pixels = np.full((8, 8, 3), value + i, np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")
    return folder


@pytest.mark.nightly
def test_images_of_another_folder_are_never_mixed_with_those_of_the_first(launch, tmp_path):
    sweep, out = tmp_path / "own.yaml", tmp_path / "runs"
    sweep.write_text(SWEEP.format(model="lenet_300_100", dataset="image_folder"))
    a, b = image_folder(tmp_path / "a", 200), image_folder(tmp_path / "b", 100)

    def run(folder):
        done = launch(sweep, f"data_dir={folder}", "--out", out)
        assert done.returncode == 0, done.stderr
        [run_dir] = re.findall(r"^results in (.*), MLflow", done.stderr, re.M)
        return done, read_results(out, Path(run_dir).name)

    first, of_a = run(a)
    assert num_trained(first.stderr) == 2
    second, of_b = run(b)
    assert num_trained(second.stderr) == 2
    assert "image_folder: other data than at the last launch of that name" in second.stderr
    assert f", in {a}). What that trained is kept and not used" in second.stderr
    assert {line["id"] for line in of_a}.isdisjoint(line["id"] for line in of_b)
    third, again = run(a)
    assert "trainings in" not in third.stderr
    assert again == of_a

    moved = shutil.move(a, tmp_path / "elsewhere")  # the same images
    assert run(moved)[1] == of_a
    (moved / "train" / "light" / "3.png").write_bytes(
        (b / "train" / "light" / "3.png").read_bytes()
    )
    repaired, of_repaired = run(moved)
    assert num_trained(repaired.stderr) == 2
    assert {line["id"] for line in of_repaired}.isdisjoint(line["id"] for line in (*of_a, *of_b))
    run_json = json.loads((out / "own" / "run.json").read_text())
    # A tenth of 20 is held out to validate.
    assert run_json["data"].startswith(
        "2 classes, 3x8x8: 18 images to train, 2 to validate, 20 to test"
    )
    # 3 x 8 x 8 x 300 + 300 x 100 + 100 x 2 weights
    assert run_json["pruned"] == "87,800 of 88,202 parameters; never: biases and norms (402)"
    report = (out / "own" / "report.md").read_text()
    assert f"- data: {run_json['data']}\n- prunes: {run_json['pruned']}\n" in report


def test_a_published_data_set_is_held_against_what_the_store_was_trained_on(tmp_path, monkeypatch):
    """Cut or of another version, it has the same name."""
    from lt_core import data
    from tune_app.run import preflight

    digits = data.load("digits")
    monkeypatch.setitem(data.LOADERS, "cifar10", "test_own_code:_digits")
    monkeypatch.setattr(sys.modules[__name__], "_digits", lambda data_dir: digits, raising=False)
    sweep = load_sweep(_written(tmp_path, "lenet_300_100", "cifar10"))
    store = Store(str(tmp_path / "_store"))
    store.create()

    def fitting():
        return preflight.load_fitting(
            identify(sweep, store, Path("own.yaml")), store, Path("own.yaml")
        )

    [content] = fitting().contents
    assert (content["name"], content["fingerprint"]) == ("cifar10", "8963c58c5aa0d4ac83e7")
    remember([content], store)
    assert fitting().contents == ()
    pixels = digits.train.images.copy()
    pixels[0, 0, 0, 0] += 1
    changed = data.DataSet(
        "cifar10", data.Split(pixels, digits.train.labels), digits.validation, digits.test, 10
    )
    monkeypatch.setattr(sys.modules[__name__], "_digits", lambda data_dir: changed)
    with pytest.raises(
        SpecError, match="`dataset`: cifar10 in data is another than what this store"
    ):
        fitting()


def _written(folder: Path, model: str, dataset: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(SWEEP.format(model=model, dataset=dataset))
    return path


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("dataset", "8963c58c5aa0d4ac83e7", "goes with image_folder or an import path; digits is"),
        (
            "model",
            "8963c58c5aa0d4ac83e7",
            "goes with an import path; lenet_300_100 is known by its",
        ),
        ("model", "new", "must be 20 hexadecimal digits, as the sweep.yaml of a run has them, got"),
    ],
)
def test_a_fingerprint_of_what_its_name_tells_is_refused(tmp_path, key, value, problem):
    path = _written(tmp_path, "lenet_300_100", "digits")
    with pytest.raises(SpecError, match=f"`fingerprints.{key}`: {problem}"):
        load_sweep(path, [f"fingerprints.{key}={value}"])


# ---- a score


SCORE = """\
def score(of):
    return {name: weight.abs() * 2 for name, weight in of.weights.items()}
"""


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A sweep by a score of the user's, of a network and data that need none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_scores.py").write_text(SCORE)
    sweep = TINY.replace("fraction: 0.5", "strategy: own_scores:score, fraction: 0.5")
    (tmp_path / "scored.yaml").write_text(sweep.replace("name: tiny", "name: scored"))
    sys.modules.pop("own_scores", None)
    yield tmp_path
    sys.modules.pop("own_scores", None)


def test_a_score_of_one_s_own_prunes_and_is_known_by_its_file(scored, finished, launch):
    done = launch("scored.yaml", "--out", "runs")
    assert done.returncode == 0, done.stderr
    # Twice the magnitude is another name for what the tiny sweep is pruned by.
    ours, theirs = (
        sorted(
            (r["kind"], r["round"], r["seed"], r["eval"]["lr"], r["test_accuracy"])
            for r in read_results(runs, name)
        )
        for runs, name in ((scored / "runs", "scored"), (finished[1], "tiny"))
    )
    assert ours == theirs
    assert to_do(dry_run("scored.yaml")) == 0
    for factor, left in (("* 30", 44 - 4 - 8), ("* 2", 0)):  # not dense networks and random masks
        (scored / "own_scores.py").write_text(SCORE.replace("* 2", factor))
        shutil.rmtree(scored / "__pycache__", ignore_errors=True)
        sys.modules.pop("own_scores", None)
        assert to_do(dry_run("scored.yaml")) == left


def test_a_score_that_fails_is_refused_before_ray_starts(scored):
    source = scored / "own_scores.py"
    source.write_text(SCORE.replace("of.weights", "of.wheights"))
    refused = run_here(launch_command.main, "scored.yaml")
    assert refused.returncode == 2
    assert "`prune`: own_scores:score fails: AttributeError: " in refused.stderr
    assert "(own_scores.py:2, in score)" in refused.stderr
    source.unlink()
    sys.modules.pop("own_scores", None)
    refused = run_here(launch_command.main, "scored.yaml")
    assert refused.returncode == 2
    assert "`prune.strategy`: own_scores:score: cannot import own_scores" in refused.stderr


def test_a_score_in_a_package_is_known_by_what_it_is_written_in(scored):
    package = scored / "own_package"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("from own_package.sub.criterion import score\n")
    (package / "sub" / "__init__.py").touch()
    source = package / "sub" / "criterion.py"

    def fingerprint(content: str, **given: str) -> str:
        source.write_text(content)
        shutil.rmtree(package / "sub" / "__pycache__", ignore_errors=True)
        for name in [name for name in sys.modules if name.startswith("own_package")]:
            del sys.modules[name]
        changes = ["prune.strategy=own_package:score"]
        changes += [f"fingerprints.score={value}" for value in given.values()]
        sweep = load_sweep(scored / "scored.yaml", changes)
        store = Store(str(scored / "store"))
        return identify(sweep, store, scored / "scored.yaml").sweep.fingerprints.score

    first = fingerprint(SCORE)
    assert fingerprint(SCORE.replace("* 2", "* -2")) != first == fingerprint(SCORE)
    assert fingerprint(SCORE, given=first) == first
    with pytest.raises(SpecError, match=f"`fingerprints.score`: must be {first}, which"):
        fingerprint(SCORE, given="a" * 20)


def test_an_edited_score_trains_no_dense_network_and_no_random_mask_again(scored):
    def ids(fingerprint: str, kind: str) -> set[str]:
        path = scored / "scored.yaml"
        sweep = load_sweep(path, [f"fingerprints.score={fingerprint}"])
        trainings = make_plan(sweep).trainings.values()
        return {t.id for t in trainings if (t.kind if t.round else "dense") == kind}

    one, other = "a" * 20, "b" * 20
    for kind in ("dense", "global_random"):
        assert ids(one, kind) == ids(other, kind)
    for kind in ("lottery", "preserve_lpr"):
        assert ids(one, kind).isdisjoint(ids(other, kind))
