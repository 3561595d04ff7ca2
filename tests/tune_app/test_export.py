"""The command trains the winner of real runs once more; what it wrote is read as a user would."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import safetensors.torch
import torch
from mlflow import MlflowClient
from synthetic_run import SWEEP, synthetic_results, write_run
from tiny_search import SEARCH, Taken
from tiny_sweep import TINY, Files, environment, file_of, read_results, run_here

from lt_core import data, models
from lt_core.data.batches import Batches
from lt_core.mask import unpack
from lt_core.packed_mask import PackedMask
from lt_core.training_loop import accuracy
from tune_app.export import onnx_file
from tune_app.export.__main__ import main
from tune_app.export.choice import nearest_round, winner
from tune_app.export.files import _beside
from tune_app.export.retraining import _resources
from tune_app.export.sparse import load_sparse, plain, write_sparse
from tune_app.plan.plan import make_plan
from tune_app.results.curves import Results
from tune_app.results.reading import RunError
from tune_app.results.result import Result
from tune_app.results.run_directory import RunDirectory, provenance, resolved
from tune_app.search.comparison import comparison
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.trial.worker import Setting, Worker

AGAIN = "%: as the sweep recorded it"
HAS_ONNX = importlib.util.find_spec("onnxruntime") is not None
FILES = ["README.md", "mask.safetensors", "model", "model.pt2", "recipe.json"]
FILES += ["sparse.safetensors", "weights.safetensors"]
if HAS_ONNX:
    FILES = sorted([*FILES, "model.onnx"])


def export_apart(*arguments):
    """Run the command in a process of its own, as a user would."""
    command = [sys.executable, "-m", "tune_app.export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment())


run_export = partial(run_here, main)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The tiny sweep's runs and its best ticket's export, and what the command said."""
    runs = tmp_path_factory.mktemp("exported") / "runs"
    shutil.copytree(finished[1], runs)
    before = contents(runs / "_store")
    done = export_apart(runs / "tiny", "--best", "--at", "0.9")
    assert done.returncode == 0, done.stderr
    assert contents(runs / "_store") == before
    [folder] = (runs / "tiny" / "export").iterdir()
    return runs, folder, done.stdout


def best_by_hand(runs):
    """Of round 2, the H with the best mean over its two seeds, and of these the better seed."""
    pairs = {}
    for result in read_results(runs):
        if (result["kind"], result["round"]) == ("lottery", 2):
            pairs.setdefault((result["find"]["lr"], result["eval"]["lr"]), []).append(result)
    assert [len(pair) for pair in pairs.values()] == [2, 2, 2, 2]
    pair = max(pairs.values(), key=lambda pair: sum(result["val_accuracy"] for result in pair))
    return max(pair, key=lambda result: result["val_accuracy"])


def images_of_test(num):
    digits = data.load("digits")
    return Batches(digits, digits.test, "cpu")[:num][0].contiguous()


def trained_network(folder):
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=7)
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    network.load_state_dict(weights)
    return network.eval()


def test_the_winner_is_trained_again_to_what_was_recorded(exported):
    runs, folder, said = exported
    best = best_by_hand(runs)
    assert folder.name == best["id"] and sorted(p.name for p in folder.iterdir()) == FILES
    assert f"seed {best['seed']}: training {best['id']}" in said
    assert f"found at LR {best['find']['lr']}, trained at LR {best['eval']['lr']}" in said
    assert "lottery at 75.0% pruned (round 2)" in said and AGAIN in said
    digits = data.load("digits")
    measured = accuracy(trained_network(folder), Batches(digits, digits.test, "cpu"))
    assert measured == best["test_accuracy"]


def test_pruned_weights_are_zero_and_the_mask_is_the_ticket(exported):
    runs, folder, _ = exported
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    mask = safetensors.torch.load_file(folder / "mask.safetensors")
    recipe = json.loads((folder / "recipe.json").read_text())
    packed = Store(str(runs / "_store")).ticket(recipe["ticket"])
    ticket = unpack(PackedMask.from_bytes(packed))
    assert mask.keys() == ticket.keys()
    assert all(torch.equal(mask[name], ticket[name]) for name in mask)
    assert sum(int(layer.sum()) for layer in mask.values()) == 19_464 // 4
    assert all(not weights[f"{name}.weight"][~layer].any() for name, layer in mask.items())
    assert all(weights[f"{name}.weight"][layer].all() for name, layer in mask.items())


def test_the_recipe_says_what_was_trained_and_what_images_it_takes(exported):
    runs, folder, _ = exported
    best, recipe = best_by_hand(runs), json.loads((folder / "recipe.json").read_text())
    for name in ("id", "find", "eval", "seed", "round", "sparsity", "lpr", "test_accuracy"):
        assert recipe[name] == best[name]
    assert (recipe["model"], recipe["dataset"]) == ("small_resnet", "digits")
    assert recipe["recorded"]["val_accuracy"] == best["val_accuracy"]
    assert recipe["command"] == f"python -m tune_app.export {runs / 'tiny'} --best --at 0.9"
    digits = data.load("digits")
    pixels = digits.test.images[:3].astype(np.float32)
    mean, std = recipe["input"]["mean"][0], recipe["input"]["std"][0]
    assert recipe["input"]["shape"] == [1, 8, 8]
    assert np.allclose((pixels - mean) / std, images_of_test(3).numpy(), atol=1e-6)


LOAD = """\
import sys
import mlflow, numpy, torch
images = torch.load(sys.argv[2])
for kind, program in (
    ("mlflow", mlflow.pytorch.load_model(sys.argv[1] + "/model")),
    ("torch", torch.export.load(sys.argv[1] + "/model.pt2").module()),
):
    with torch.no_grad():
        torch.save([program(images[:num]) for num in (1, 3, 500)], f"{sys.argv[3]}/{kind}")
scores = mlflow.pyfunc.load_model(sys.argv[1] + "/model").predict(images[:2].numpy())
print(scores.shape, {name.partition(".")[0] for name in sys.modules} & {"lt_core", "tune_app"})
"""


def loaded_elsewhere(folder, tmp_path):
    """The logits of both programs for 1, 3 and 500 test images, in a process without this package
    and where MLflow runs no code from files."""
    torch.save(images_of_test(500), tmp_path / "images")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "images"), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false"),
        cwd=tmp_path,
        timeout=300,
    )
    assert done.stdout == "(2, 10) set()\n", done.stderr
    return [torch.load(tmp_path / kind) for kind in ("mlflow", "torch")]


def test_the_models_load_elsewhere_and_compute_what_the_network_does(exported, tmp_path):
    runs, folder, _ = exported
    network = trained_network(folder)
    digits, best = data.load("digits"), best_by_hand(runs)
    for logits in loaded_elsewhere(folder, tmp_path):
        for given, num in zip(logits, (1, 3, 500), strict=True):
            with torch.no_grad():
                torch.testing.assert_close(given, network(images_of_test(num)))
        right = logits[-1].argmax(1).numpy() == digits.test.labels
        assert right.sum() / 500 == best["test_accuracy"]


def test_bitmask_and_values_of_a_layer(tmp_path):
    alive = {"fc": torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]).bool()}
    weight = torch.tensor([[0.5, -0.0, -0.0, 0, 0], [0, -0.0, 0, 0, -2]])
    state = plain({"fc.weight": weight, "fc.bias": torch.tensor([3.0, 4.0])}, alive)
    # What is alive keeps its sign.
    assert torch.signbit(state["fc.weight"]).int().tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
    assert write_sparse(tmp_path / "a", state, alive)
    kept = safetensors.torch.load_file(tmp_path / "a")
    # 10100 000|01, padded with 0: 160 and 64.
    assert kept.pop("fc.weight.bitmask").tolist() == [0b10100000, 0b01000000]
    assert kept.pop("fc.weight.values").tolist() == [0.5, -0.0, -2]
    assert kept.keys() == {"fc.bias"}
    restored = load_sparse(str(tmp_path / "a"))
    assert {name: t.numpy().tobytes() for name, t in restored.items()} == {
        name: t.numpy().tobytes() for name, t in state.items()
    }
    assert not write_sparse(tmp_path / "b", state, {"fc": torch.ones(2, 6).bool()})
    assert not (tmp_path / "b").exists()


def test_bitmask_and_values_of_a_projection_by_its_own_name(tmp_path):
    alive = {"attention.in_proj_weight": torch.tensor([[True, False]])}
    state = plain({"attention.in_proj_weight": torch.tensor([[1.5, -0.0]])}, alive)
    assert write_sparse(tmp_path / "a", state, alive)
    kept = safetensors.torch.load_file(tmp_path / "a")
    assert kept["attention.in_proj_weight.values"].tolist() == [1.5]
    assert load_sparse(str(tmp_path / "a"))["attention.in_proj_weight"].tolist() == [[1.5, 0.0]]


def test_the_loader_of_the_readme_restores_the_same_bits_from_fewer(exported):
    _, folder, said = exported
    text = (folder / "README.md").read_text()
    assert f"{folder / 'README.md'}" in said
    names = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[1], names)
    restored = names["load_sparse"](str(folder / "sparse.safetensors"))
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    assert restored.keys() == weights.keys()
    for name, weight in weights.items():
        assert restored[name].numpy().tobytes() == weight.numpy().tobytes()
    recipe = json.loads((folder / "recipe.json").read_text())
    sizes = recipe["bytes"]
    assert sizes["sparse.safetensors"] == (folder / "sparse.safetensors").stat().st_size
    # Of 19,464 weights 14,598 are not there, of 4 bytes each, but a bit for each is, 2,433 bytes,
    # and the names and shapes of twice as many tensors.
    saved = sizes["weights.safetensors"] - sizes["sparse.safetensors"]
    assert 0 < 4 * 14_598 - 2_433 - saved < 2_000
    assert sizes.keys() == set(FILES) - {"README.md", "recipe.json"}
    forms = ["not pruned", "in torch", "model.pt2", *["model.onnx"] * HAS_ONNX]
    assert list(recipe["latency"]["ms"]) == forms and recipe["latency"]["threads"] == 1
    assert all(
        0 < ms["low"] <= ms["median"] <= ms["high"] for ms in recipe["latency"]["ms"].values()
    )
    assert all(f"| `{name}` | {size:,} |" in text for name, size in sizes.items())
    ms = recipe["latency"]["ms"]["model.pt2"]
    assert f"| `model.pt2` | {ms['median']:.2f} ({ms['low']:.2f} to {ms['high']:.2f}) |" in text


def test_the_onnx_file_computes_what_the_network_does(exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    _, folder, _ = exported
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    network = trained_network(folder)
    for num in (1, 3, 500):
        images = images_of_test(num)
        [logits] = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(logits), network(images), rtol=1e-4, atol=1e-5
            )


def test_without_its_packages_no_onnx_file_is_written_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "NEEDS", ("no_such_package",))
    assert onnx_file.write_onnx(tmp_path / "model.onnx", None) == (
        'it takes two packages more: pip install -e ".[onnx]"'
    )
    assert not (tmp_path / "model.onnx").exists()


def exports_in_mlflow(runs):
    client = MlflowClient(f"sqlite:///{runs}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id], "params.kind = 'export'")
    return client, experiment, found


@pytest.mark.nightly
def test_the_model_is_in_the_experiment_of_the_sweep(exported, tmp_path):
    runs, _, said = exported
    client, experiment, [run] = exports_in_mlflow(runs)
    best = best_by_hand(runs)
    assert run.info.run_name == f"export {best['id']}" and run.info.status == "FINISHED"
    assert run.data.params["find.lr"] == str(best["find"]["lr"])
    assert run.data.params["training"] == best["id"]
    assert run.data.metrics["export/test_accuracy"] == best["test_accuracy"]
    [model] = client.search_logged_models([experiment.experiment_id])
    assert (model.source_run_id, model.status) == (run.info.run_id, "READY")
    uri = re.search(r"model (runs:/\S+)", said)[1]
    load = (
        "import sys, mlflow, torch; mlflow.set_tracking_uri(sys.argv[1]); "
        "print(mlflow.pytorch.load_model(sys.argv[2])(torch.zeros(3, 1, 8, 8)).shape)"
    )
    command = [sys.executable, "-c", load, f"sqlite:///{runs}/mlflow.db", uri]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.stdout == "torch.Size([3, 10])\n", done.stderr


def test_the_same_command_does_nothing_twice_and_logs_what_a_server_missed(exported, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(exported[0], runs)
    folder = runs / "tiny" / "export" / exported[1].name
    before = contents(folder)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = run_export(runs / "tiny", "--best", MLFLOW_TRACKING_URI=address)
    assert done.returncode == 3 and "is there already: it is not trained again" in done.stdout
    assert done.stderr.startswith(f"not logged in MLflow: {address}: ")
    assert done.stderr.endswith("The files are whole; the same command logs them\n")

    client, _, [run] = exports_in_mlflow(runs)
    client.delete_run(run.info.run_id)
    for _ in range(2):
        done = run_export(runs / "tiny", "--best")
        assert done.returncode == 0, done.stderr
        assert "is there already" in done.stdout and AGAIN in done.stdout
        client, experiment, [run] = exports_in_mlflow(runs)
        logged = client.search_logged_models([experiment.experiment_id])
        assert [model.source_run_id for model in logged].count(run.info.run_id) == 1
    assert contents(folder) == before

    other = next(r["id"] for r in read_results(runs) if r["id"] != folder.name)
    done = run_export(runs / "tiny", "--id", other, "--out", folder)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {folder}: holds another training, {folder.name}; give another --out\n"
    )


def test_another_accuracy_than_the_recorded_one_is_said(exported, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(exported[0], runs)
    best = best_by_hand(runs)
    lines = (runs / "tiny" / "results.jsonl").read_bytes().splitlines()
    results = [Result.from_line(line) for line in lines]
    others = [replace(r, test_accuracy=0.9) if r.id == best["id"] else r for r in results]
    RunDirectory(runs / "tiny").write_results(others)
    done = run_export(runs / "tiny", "--id", best["id"], "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    told = f"test {100 * best['test_accuracy']:.2f}%; NOT as the sweep recorded it: validation "
    assert told in done.stdout and "test 90.00%. Other hardware" in done.stdout


def test_a_ticket_that_is_lost_is_made_again_as_the_message_says(finished, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    best = best_by_hand(runs)
    ticket = make_plan(load_sweep(runs / "tiny" / "sweep.yaml")).trainings[best["id"]].ticket
    file_of(Store(str(runs / "_store")), "tickets", ticket).unlink()
    done = run_export(runs / "tiny", "--best")
    assert done.returncode == 2 and not (runs / "tiny" / "export" / best["id"]).exists()
    said = re.fullmatch(
        rf"error: {runs}/_store: there is no ticket {ticket}; to make it again, delete (\S+) there "
        r"and run: python -m tune_app.launch (.+)\n",
        done.stderr,
    )
    assert said, done.stderr
    (runs / "_store" / said[1]).unlink()
    assert launch(*said[2].split()).returncode == 0
    done = run_export(runs / "tiny", "--best")
    assert done.returncode == 0 and AGAIN in done.stdout, done.stderr


# Runs without Ray


def run_of(folder, text):
    """A finished run, trained in this process."""
    folder.mkdir()
    (folder / "sweep.yaml").write_text(text)
    sweep = load_sweep(folder / "sweep.yaml")
    plan, store = make_plan(sweep), Store(str(folder / "_store"))
    store.create()
    setting = Setting(sweep.model, sweep.prune, "1ep", store, None)
    worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")
    torch.set_num_threads(1)
    reports = [report for chain in plan.chains for report in worker.find(chain, needed=())]
    reports += [report for t in plan.evaluations for report in worker.evaluate(t)]
    run_dir = RunDirectory(folder / sweep.name)
    run_dir.create(sweep)
    run_dir.write_provenance(provenance("python -m tune_app.launch"))
    run_dir.write_results(report.result for report in reports)
    return run_dir.path


ONE = TINY.replace("[0, 1]", "[0]").replace("[0.05, 0.2]", "[0.2]")
ONE = ONE.replace("baselines: [global_random, preserve_lpr]\n", "")


@pytest.mark.nightly
@pytest.mark.parametrize("shrink", ["true", "false"])
def test_whole_filters_are_gone_from_the_programs(tmp_path, shrink):
    structured = f"{{strategy: filter_l1, one_shot: [0.25, 0.5], shrink: {shrink}}}"
    run = run_of(tmp_path / "runs", ONE.replace("{fraction: 0.5, rounds: 2}", structured))
    done = run_export(run, "--best", "--out", tmp_path / "out")
    assert done.returncode == 0 and AGAIN in done.stdout, done.stderr
    mask = safetensors.torch.load_file(tmp_path / "out" / "mask.safetensors")
    weights = safetensors.torch.load_file(tmp_path / "out" / "weights.safetensors")
    assert [len(m) for m in (mask["conv"], mask["fc"][0])] == [8, 32]  # of the dense network
    assert int(mask["conv"].flatten(1).any(1).sum()) == 4
    assert len(weights["conv.weight"]) == (4 if shrink == "true" else 8)
    # The weights that are left of whole filters have no bits to leave out.
    assert (tmp_path / "out" / "sparse.safetensors").exists() == (shrink == "false")
    program = torch.export.load(tmp_path / "out" / "model.pt2")
    shapes = {name: list(tensor.shape) for name, tensor in program.state_dict.items()}
    assert shapes["conv.weight"] == [4, 1, 3, 3] and shapes["fc.weight"] == [10, 16]

    [recorded] = [
        result["test_accuracy"]
        for result in map(json.loads, (run / "results.jsonl").read_text().splitlines())
        if result["round"] == 2
    ]
    labels = data.load("digits").test.labels
    for logits in loaded_elsewhere(tmp_path / "out", tmp_path):
        assert (logits[-1].argmax(1).numpy() == labels).sum() / 500 == recorded
    if shrink == "false":
        with torch.no_grad():
            full = trained_network(tmp_path / "out")(images_of_test(500))
        torch.testing.assert_close(logits[-1], full, rtol=1e-4, atol=1e-5)


MINE = """\
from torch import nn


class Choosy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return logits if logits.sum() > 0 else 2 * logits


def make(channels, classes, image_size):
    return Choosy()
"""


def test_a_network_that_cannot_be_traced_leaves_weights_and_mask(tmp_path, monkeypatch):
    (tmp_path / "choosy.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    run = run_of(tmp_path / "runs", ONE.replace("small_resnet", "choosy:make"))
    for _ in range(2):
        done = run_export(run, "--best", "--out", tmp_path / "out")
        assert done.returncode == 3
        assert done.stderr.startswith("no model: torch.export cannot trace choosy:make: ")
        assert done.stderr.count("\n") == 1
        there = sorted(path.name for path in (tmp_path / "out").iterdir())
        weights = ["sparse.safetensors", "weights.safetensors"]
        assert there == ["README.md", "mask.safetensors", "recipe.json", *weights]


def test_weights_that_go_on_are_read_from_the_store(tmp_path):
    text = ONE + "rewind: {method: learning_rate}\n"
    run = run_of(tmp_path / "runs", text)
    done = run_export(run, "--best")
    assert done.returncode == 0 and AGAIN in done.stdout, done.stderr


def test_ray_is_not_needed():
    modules = "tune_app.export.__main__, tune_app.export.files"
    code = f"import sys; sys.modules['ray'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_directory_is_made_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), _beside(tmp_path / "out") as folder:
        (folder / "weights.safetensors").write_bytes(b"")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


# Of a search


def test_what_a_killed_export_left_is_in_no_one_s_way(tmp_path):
    """Not even of a process of its number, as the only one of a container has."""
    killed = _beside(tmp_path / "out")
    left = killed.__enter__()
    with _beside(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"out", left.name}
    killed.gen.close()


def test_sigterm_ends_an_export_as_ctrl_c_does(finished, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)

    def ended(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(60)

    monkeypatch.setattr("tune_app.export.retraining.train_again", ended)
    done = run_export(runs / "tiny", "--best")
    assert (done.returncode, done.stderr) == (130, "stopped; nothing was exported\n")
    assert list((runs / "tiny" / "export").iterdir()) == []


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The runs of a search that tried a decoupled and a coupled configuration, and the search."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "best.yaml").write_text(SEARCH)
    search = Taken(folder / "runs", folder / "best.yaml", "search.num_samples=2")
    list(search.train())
    return folder / "runs", search


def test_a_training_of_a_search_is_exported_by_its_id(searched, tmp_path):
    runs, search = searched
    decoupled = search.agenda.plan.evaluations(search.agenda.samples.all[0].configuration)[0]
    done = run_export(runs / "best", "--id", decoupled.id, "--out", tmp_path / "out")
    assert done.returncode == 0 and AGAIN in done.stdout, done.stderr
    [result] = [r for r in read_results(runs, "best") if r["id"] == decoupled.id]
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert (recipe["find"], recipe["eval"]) == (result["find"], result["eval"])
    assert result["find"] != result["eval"] and recipe["round"] == 2


def test_without_an_id_of_its_own_the_comparison_of_a_search_is_exported(
    searched, tmp_path, capsys
):
    runs, search = tmp_path / "runs", searched[1]
    shutil.copytree(searched[0], runs)
    store, of_search = runs / "_store", f"{runs / 'best'}; results.jsonl has 4, such as "
    chosen, beside = comparison(search.sweep, search.agenda.samples), runs / "best-best"
    assert main([str(runs / "best"), "--best"]) == 2
    assert capsys.readouterr().err == f"error: {beside}: no such directory\n"
    assert main([str(runs / "best"), "--id", "abc"]) == 2
    assert capsys.readouterr().err.startswith(f"error: --id abc: no training of {of_search}")

    write_run(beside, resolved(chosen), lambda sweep: synthetic_results(sweep, lambda *_: 0.9))
    last = read_results(runs, "best-best")[-1]["id"]
    for which in (["--best"], ["--id", last]):
        assert main([str(runs / "best"), *which]) == 2  # it is not in the store
        told = capsys.readouterr()
        assert f"trained over fresh seeds in {beside}" in told.out and "seed 1" in told.out
        assert told.err.startswith(f"error: {store}: there is no ticket ")
        assert f"python -m tune_app.launch {beside}/sweep.yaml" in told.err


def test_a_ticket_of_a_search_that_is_lost_needs_a_grid(searched, tmp_path, capsys):
    runs, search = tmp_path / "runs", searched[1]
    shutil.copytree(searched[0], runs)
    decoupled = search.agenda.plan.evaluations(search.agenda.samples.all[0].configuration)[0]
    file_of(Store(str(runs / "_store")), "tickets", decoupled.ticket).unlink()
    assert main([str(runs / "best"), "--id", decoupled.id]) == 2
    assert capsys.readouterr().err == (
        f"error: {runs}/_store: there is no ticket {decoupled.ticket}; a search that is over makes "
        "it no more, a grid of its H_find, H_eval and seed does\n"
    )


def test_what_a_chain_of_a_search_trained_has_the_resources_of_chains(tmp_path):
    (tmp_path / "best.yaml").write_text(SEARCH)
    stop = "search.stop={chains: median, probe_at: 0.5}"
    search = Taken(tmp_path, tmp_path / "best.yaml", "find.resources={cpu: 3}", stop)
    plan, to_do = search.agenda.plan, search.agenda.next(frozenset())
    [chain], [evaluation] = to_do.chains, to_do.evaluations
    trained = (chain.trainings[1], plan.probes(chain)[1], evaluation)
    given = [_resources(search.sweep, plan, t).cpu for t in trained]
    assert given == [3, 3, 1]


# Which one; seeds lie 1% apart around these, by LR_find and LR_eval.

GRID = {(0.1, 0.1): 0.90, (0.1, 0.5): 0.94, (0.5, 0.1): 0.86, (0.5, 0.5): 0.91}


def results_of(sweep):
    def mean(kind, find, eval_, round):
        return GRID[find.lr, eval_.lr] if kind == "lottery" and find else 0.95

    return synthetic_results(sweep, mean)


@pytest.fixture
def run_dir(tmp_path):
    return write_run(tmp_path / "run", SWEEP, results_of)


@pytest.fixture
def sweep(run_dir):
    return load_sweep(run_dir / "sweep.yaml")


def is_lottery(result, find, eval_, seed):
    found = (result.find and result.find.lr, result.eval.lr, result.seed)
    return result.kind == "lottery" and found == (find, eval_, seed)


def test_the_winner_has_the_best_mean_and_of_its_seeds_the_best(sweep):
    results = results_of(sweep)
    won = winner(sweep, Results(results), 4)
    assert is_lottery(won, 0.1, 0.5, 2) and won.round == 4
    for i, result in enumerate(results):
        if is_lottery(result, 0.5, 0.5, 0):  # best of all, with a mean of 93.3%: 0.99, 0.905, 0.915
            results[i] = replace(result, val_accuracy=0.99)
        if is_lottery(result, 0.1, 0.5, 0):  # best of the winner's: 0.95, 0.935, 0.945
            results[i] = replace(result, val_accuracy=0.95)
    assert is_lottery(winner(sweep, Results(results), 4), 0.1, 0.5, 0)


def test_the_configuration_is_chosen_by_what_the_sweep_selects_on(sweep):
    results = results_of(sweep)
    for i, result in enumerate(results):
        if any(is_lottery(result, 0.5, 0.1, seed) for seed in (0, 1, 2)):
            # 97% on test, worst on validation
            results[i] = replace(result, test_accuracy=result.test_accuracy + 0.11)
    on_test = sweep.model_copy(update={"select_on": "test"})
    assert is_lottery(winner(sweep, Results(results), 4), 0.1, 0.5, 2)
    assert is_lottery(winner(on_test, Results(results), 4), 0.5, 0.1, 2)


def test_the_round_is_the_nearest_of_those_evaluated(sweep):
    results = Results(results_of(sweep))  # at 75.0% and 93.75%
    for at, round in ((None, 4), (0.999, 4), (0.85, 4), (0.84, 2), (0.1, 2)):
        assert nearest_round(sweep, results, at) == round
    early = Results(result for result in results if result.round <= 2)
    assert nearest_round(sweep, early, None) == 2
    with pytest.raises(
        RunError,
        match=r"^--at 0\.9: no result of a ticket at 93\.8% pruned; there "
        r"are at 75\.0%$",
    ):
        nearest_round(sweep, early, 0.9)


@pytest.mark.parametrize(("eval_", "num_threads"), [(0.1, 3), (0.5, 2)])
def test_a_round_of_a_chain_is_trained_with_the_resources_of_chains(
    tmp_path, monkeypatch, eval_, num_threads
):
    resources = "find:\n  resources: {cpu: 3}\n"
    text = SWEEP.replace("find:\n", resources) + "resources_per_trial: {cpu: 2}\n"
    run_dir = write_run(tmp_path / "run", text, results_of)
    results = map(Result.from_line, (run_dir / "results.jsonl").read_bytes().splitlines())
    id = next(r.id for r in results if is_lottery(r, 0.1, eval_, 0) and r.round == 2)
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    assert main([str(run_dir), "--id", id]) == 2  # there is no store
    assert given == [num_threads]


def without_results(run_dir):
    (run_dir / "results.jsonl").write_text("")


def only_dense(run_dir):
    path = run_dir / "results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["round"] == 0))


def no_sweep(run_dir):
    (run_dir / "sweep.yaml").unlink()


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (shutil.rmtree, ["--best"], "{run}: no such directory"),
        (no_sweep, ["--best"], "{run}/sweep.yaml: no such file"),
        (without_results, ["--best"], "{run}/results.jsonl: no results of this sweep"),
        (only_dense, ["--best"], "there is no result of a ticket yet, only of dense networks"),
        (only_dense, ["--id", "{ticket}"], "--id {ticket}: this training has no result yet"),
        (None, ["--id", "abc"], "--id abc: no training of {run}; results.jsonl has 78, such as "),
        (None, ["--best"], "{store}: [Errno 2] the store is not there: '{store}/store.json'"),
        (None, ["--best", "--out", "{run}"], "{run}: is there already, and no export"),
        (None, ["--best", "--store", "ftp://x/y"], "ftp://x/y/store.json: cannot be read: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run_dir, capsys, spoil, arguments, said):
    results = map(Result.from_line, (run_dir / "results.jsonl").read_bytes().splitlines())
    ticket = next(r.id for r in results if is_lottery(r, 0.1, 0.5, 2) and r.round == 4)
    names = {"run": run_dir, "ticket": ticket, "store": run_dir.parent / "_store"}
    if spoil:
        spoil(run_dir)
    code = main([str(run_dir), *(argument.format(**names) for argument in arguments)])
    told = capsys.readouterr().err
    assert code == 2 and told.count("\n") == 1
    assert told.startswith(f"error: {said.format(**names)}"), told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of --best and --id is needed, not both"),
        (["--best", "--id", "abc"], "one of --best and --id is needed, not both"),
        (["--id", "abc", "--at", "0.9"], "--at: goes with --best, and --id says it all"),
        *(
            (["--best", "--at", at], f"'--at': must be a fraction between 0 and 1, got {at}")
            for at in ("0", "1", "90", "nan", "much")
        ),
    ],
)
def test_a_wrong_command_line(run_dir, capsys, arguments, said):
    assert main([str(run_dir), *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and said in told and told.count("\n") == 1
