import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lt_core import data, import_path, models
from lt_core.config import Recipe
from lt_core.evaluation import evaluate
from lt_core.import_path import files_of
from lt_core.mask import dense, prunable_weights
from lt_core.rewind import to_initialization

README = Path(__file__).parents[2] / "README.md"
NETS = """
import torch
from torch import nn

def good(channels, classes, image_size):
    height, width = image_size
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))

def larger(channels, classes, image_size):
    return good(channels, classes + 1, image_size)

def of_another_size(channels, classes, image_size):
    return good(channels, classes, (9, 9))

def without_layers(channels, classes, image_size):
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None].expand(-1, classes)
    return Mean()

def in_pairs(channels, classes, image_size):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x
    return Pair()

def with_norm(channels, classes, image_size):
    return nn.Sequential(nn.BatchNorm2d(channels), good(channels, classes, image_size))

def a_list(channels, classes, image_size):
    return []

def unfinished(channels, classes, image_size):
    raise NotImplementedError("later")

def ends(channels, classes, image_size):
    raise SystemExit

def stopped(**arguments):
    raise KeyboardInterrupt

def load_and_end(data_dir):
    raise SystemExit(0)

def other_names(in_channels, classes, image_size):
    return good(in_channels, classes, image_size)

number = 3
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path, monkeypatch):
    """A package where Python finds it; other tests do not see it."""
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "own_broken.py").write_text("def net(:")
    (tmp_path / "own_lacking.py").write_text("import no_such_package_here")
    (tmp_path / "own_script.py").write_text("import sys\n\nsys.exit(0)")
    (tmp_path / "own_odd.py").write_text("raise GeneratorExit")
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("own_") or name.startswith("my_package"):
            del sys.modules[name]


def build(path: str, seed: int = 0) -> nn.Module:
    return models.build(path, channels=1, classes=10, image_size=(8, 8), seed=seed)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("own_nothing:net", "cannot import own_nothing (No module named 'own_nothing'); it must"),
        ("own_lacking:net", "cannot import own_lacking (No module named 'no_such_package_here')"),
        ("own_broken:net", "importing own_broken fails: SyntaxError: "),
        ("own_script:net", "importing own_script fails: SystemExit: 0 ("),
        ("own_odd:net", "importing own_odd fails: GeneratorExit ("),
        ("own_nets:ends", "image_size=(8, 8)) fails: SystemExit ("),
        ("own_nets:god", "module 'own_nets' has no attribute 'god'"),
        ("own_nets:number", "must be a function, is of type int"),
        ("own_nets:a_list", "must return a torch.nn.Module, returned list"),
        (
            "own_nets:unfinished",
            "(channels=1, classes=10, image_size=(8, 8)) fails: NotImplementedError: later",
        ),
        ("own_nets:other_names", "unexpected keyword argument 'channels'"),
        ("own_nets:larger", "must give [batch, classes], here [2, 10], gives [2, 11]"),
        ("own_nets:in_pairs", "must give [batch, classes], here [2, 10], gives tuple"),
        ("own_nets:of_another_size", "fails on images [2, 1, 8, 8]: RuntimeError: mat1 and mat2"),
        ("own_nets:without_layers", "nothing to prune: no convolution, no nn.Linear and no nn.Mul"),
        ("own-nets:net", "must be module:function if it has a colon, such as my_package.nets:make"),
    ],
)
def test_what_is_wrong_with_a_network_is_told(path, problem):
    with pytest.raises(ValueError) as error:
        build(path)
    assert path in str(error.value)
    assert problem in str(error.value)


def test_the_users_network_is_drawn_from_the_seed_and_keeps_its_initialization():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, again, other = build("own_nets:good"), build("own_nets:good"), build("own_nets:good", 1)
    weights = [prunable_weights(network)["1"] for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].abs().max() <= 1 / 8  # torch's: uniform up to 1 / sqrt(64)
    assert torch.equal(torch.get_rng_state(), state)


def test_trying_the_network_changes_nothing_in_it():
    network = build("own_nets:with_norm")
    assert network.training
    assert int(network[0].num_batches_tracked) == 0
    assert (network[0].running_var == 1).all()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("own_nothing:load", "cannot import own_nothing"),
        ("own_nets:number", "must be a function"),
        ("own_nets:good", "(data_dir=data) fails: TypeError: "),
        ("own_script:load", "importing own_script fails: SystemExit: 0 ("),
        ("own_nets:load_and_end", "(data_dir=data) fails: SystemExit: 0 ("),
        ("builtins:dict", "must return an lt_core.data.DataSet, returned dict"),
        ("digit", "must be one of digits, "),
    ],
)
def test_what_is_wrong_with_a_data_set_is_told(path, problem):
    with pytest.raises(ValueError) as error:
        data.load(path)
    assert path in str(error.value)
    assert problem in str(error.value)


def test_a_function_is_written_in_what_it_imports_and_in_nothing_else_that_is_loaded(
    tmp_path, monkeypatch
):
    files = {
        "lt_package/__init__.py": "",
        "lt_package/search.py": (
            "import numpy\nfrom . import deep\ndef find(of):\n    import lt_beside\n"
        ),
        "lt_package/deep.py": "from lt_package.deeper import x\n",
        "lt_package/deeper.py": "x = 1\n",
        "lt_package/unused.py": "",
        "lt_beside.py": "from lt_nowhere import y\n",
        "elsewhere/lt_other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    written_in = set(files_of("lt_package.search:find"))
    importlib.import_module("lt_package.unused")
    assert (
        set(files_of("lt_package.search:find"))
        == written_in
        == {
            "lt_package",
            "lt_package.search",
            "lt_package.deep",
            "lt_package.deeper",
            "lt_beside",
        }
    )


def test_a_file_that_python_cannot_read_is_part_of_it_and_no_mistake(tmp_path, monkeypatch):
    (tmp_path / "lt_whole.py").write_text("def find(of):\n    import lt_torn\n")
    (tmp_path / "lt_torn.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(files_of("lt_whole:find")) == {"lt_whole", "lt_torn"}


def test_ctrl_c_in_a_users_code_is_no_mistake_of_theirs():
    with pytest.raises(KeyboardInterrupt):
        import_path.call("own_nets:stopped", data_dir="data")


def test_the_function_is_given_its_arguments_by_name():
    assert import_path.call("builtins:dict", x=1, y=2) == {"x": 1, "y": 2}
    assert import_path.call("os:path.basename", p="a/b") == "b"


def test_the_example_of_the_readme_trains(tmp_path):
    blocks = re.findall(r"```python\n# (my_package/\w+\.py)\n(.*?)```", README.read_text(), re.S)
    assert [path for path, _ in blocks] == ["my_package/nets.py", "my_package/data.py"]
    (tmp_path / "my_package").mkdir()
    for path, code in blocks:
        (tmp_path / path).write_text(code)
    random = np.random.RandomState(0)
    labels = np.arange(1000) % 10
    images = random.randint(0, 100, (1000, 1, 5, 10)).astype(np.uint8)
    images[np.arange(1000), :, :, labels] += 100  # a bright column says the class
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)

    mine = data.load("my_package.data:load", tmp_path)
    assert [len(split) for split in (mine.train, mine.validation, mine.test)] == [800, 100, 100]
    net = "my_package.nets:make_net"
    mask = dense(to_initialization(net, mine, seed=0))
    assert [weight.shape for weight in mask.values()] == [(100, 50), (10, 100)]
    recipe = Recipe(lr=0.1, batch_size=50, duration="3ep")
    assert evaluate(net, mine, mask, recipe, seed=0).test_accuracy > 0.9  # chance is 0.1
