"""What the README, and the documents that it leads to, show is true."""

import re
import shlex
from pathlib import Path

import click
import pytest
from PIL import Image

from tune_app import write_report
from tune_app.__main__ import DOOR
from tune_app.plan.plan import make_plan
from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SWEEPS = (ROOT / "sweeps" / "README.md").read_text()
RUNS = (ROOT / "sweeps" / "RUNS.md").read_text()

DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("sweeps/*.md"), *ROOT.glob("docker/*.md")})


def shown(begin: str, text: str = README, language: str = "yaml") -> str:
    """The block of a document that begins so; there must be one."""
    [block] = re.findall(rf"```{language}\n({begin}.*?)```", text, re.DOTALL)
    return block


def test_the_readme_is_a_door():
    assert len(README.split()) <= 1500
    pictures = [ROOT / path for path in re.findall(r"!\[[^]]+\]\((\S+)\)", README)]
    assert [path.stem for path in pictures] == ["fig3", "fig2"]
    for path in pictures:
        assert path.stat().st_size < 150_000
        with Image.open(path) as image:
            image.verify()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    for link in re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    ):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(path: Path) -> set[str]:
    """Those of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_document_is_led_to_and_every_file_named_is_there(path):
    text = path.read_text()
    assert path == ROOT / "README.md" or f"]({path.relative_to(ROOT)})" in README
    if path.name == "CHANGELOG.md":  # of files that were, too
        return
    for name in re.findall(r"`([\w./]+\.(?:py|yaml))`", text):
        places = (ROOT, path.parent, ROOT / "tune_app", ROOT / "lt_core")
        own = name.startswith("runs/") or name in ("sweep.yaml", "lr_grid_plan.txt")
        assert own or any((place / name).exists() for place in places), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_shown_is_one(path):
    text = path.read_text()
    told = re.findall(r"^    (lottery .*?)(?: {2,}#.*)?$", text, re.MULTILINE)
    told += re.findall(r"`(lottery [^`]*)`", text)
    for command in told:
        _, name, *arguments = shlex.split(command.partition(" [")[0].partition(" >")[0])
        found = DOOR.get_command(click.Context(DOOR), name)
        assert found is not None, command
        if arguments:  # or it is only named
            found.make_context(name, arguments)


def test_the_table_has_every_command():
    [table] = re.findall(r"\| command \| \|\n.*?\n\n", README, re.DOTALL)
    listed = re.findall(r"^\| `lottery (\w+)", table, re.MULTILINE)
    assert set(listed) == set(DOOR.list_commands(click.Context(DOOR)))


def test_the_sweep_file_is_that_of_the_main_job(tmp_path):
    path = tmp_path / "shown.yaml"
    path.write_text(shown("name: "))
    main_job = make_plan(load_sweep(ROOT / "sweeps" / "lr_grid.yaml"))
    assert make_plan(load_sweep(path)).trainings.keys() == main_job.trainings.keys()


def test_ci_runs_the_test_command():
    [command] = re.findall(r"^    (pip install .*pytest)$", README, re.MULTILINE)
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    install, test = command.split(" && ")
    assert lines.index(install) < lines.index(test)


def test_the_first_command_runs_the_main_job():
    assert "\n    pip install -e . && python -m tune_app.launch sweeps/lr_grid.yaml\n" in README


def test_the_result_is_that_of_the_main_job():
    told = re.search(r"A small ResNet .*?\n\n", README, re.DOTALL)[0]
    assert_told_in_the_head(told.partition("n=")[0], "lr_grid.yaml")


def assert_told_in_the_head(result: str, file: str) -> None:
    head = (ROOT / "sweeps" / file).read_text().partition("\n\n")[0]
    head = " ".join(head.replace("\n#", "\n").split())
    numbers = re.findall(r"\d+\.\d+(?: ± \d+\.\d+)?", " ".join(result.split()))
    assert [number for number in numbers if number not in head] == [], file


def test_every_sweep_is_listed_with_a_result_of_its_head():
    [table] = re.findall(r"\| file \| asks .*?\n\n", SWEEPS, re.DOTALL)
    rows = [row.split(" | ") for row in table.strip().splitlines()[2:]]
    files = [re.findall(r"`(\w+\.yaml)`", row[0]) for row in rows]
    assert sorted(name for [name] in files) == sorted(
        path.name for path in (ROOT / "sweeps").glob("*.yaml")
    )
    for [name], (_, _, result, _) in zip(files, rows, strict=True):
        assert_told_in_the_head(result, name)


def test_the_other_keys_are_keys_of_the_main_job(tmp_path):
    path = tmp_path / "shown.yaml"
    path.write_text(f"extends: {ROOT / 'sweeps' / 'lr_grid.yaml'}\n{shown('prune:', SWEEPS)}")
    sweep = load_sweep(path, ["prune.rounds=null"])
    assert (sweep.prune.num_rounds, str(sweep.rewind.to)) == (3, "2ep")


def test_a_mistake_is_told_as_shown():
    [mistake] = re.findall(r"^    (sweeps/lr_grid\.yaml:\d+): (unknown key .*)$", RUNS, re.M)
    path = ROOT / "sweeps" / "lr_grid.yaml"
    lines = path.read_text().splitlines()
    assert lines[int(mistake[0].partition(":")[2]) - 1] == "  lr: 0.1"
    with pytest.raises(SpecError, match=re.escape(mistake[1])):
        load_sweep(path, ["train.learning_rate=0.1"])


def test_the_searches_are_searches(tmp_path):
    base = shown("name: ").partition("find:")[0]
    path = tmp_path / "shown.yaml"
    path.write_text(base + shown("find:\n  method", SWEEPS))
    sweep = load_sweep(path)
    assert (sweep.find.method, len(sweep.eval_recipes)) == ("gp", 3)
    # 0.6^8 = 1.7% are left; 0.6^2 = 36% and 0.6^3 = 22% are nearest to 60% and 80% pruned.
    assert (sweep.search_rounds, sweep.probe_rounds) == ((8,), (2, 3))
    path.write_text(base + shown("find:\n  parameters:\n    lr: {min"))
    assert load_sweep(path).find.method == "gp"


def test_the_engine_runs_without_ray_as_shown(capsys):
    code = shown("from lt_core import", language="python")
    assert len([line for line in code.splitlines() if line]) <= 12
    exec(code.replace("16ep", "2it").replace("rounds=5", "rounds=1"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" pruned: ")[0] for line in lines] == ["0.0%", "30.0%"]


def test_a_notebook_runs_a_sweep_and_reads_its_results_as_shown(
    tiny, tmp_path, ray_of_a_notebook, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = {}
    run = shown("from tune_app import load_sweep", language="python")
    read = shown("from tune_app import read_results", language="python")
    plot = shown("by_curve = ", RUNS, language="python")
    exec(run.replace("sweeps/lr_grid.yaml", str(tiny)), names)
    exec(read.replace("runs/lr_grid", "runs/tiny") + plot, names)
    ran, table = names["ran"], names["table"]
    # One seed of the tiny sweep: 6 rounds of chains, 4 decoupled, 4 random and 8 preserve LPR.
    assert ran.went_through and not ran.missing and len(ran.results) == 22
    assert table["id"].tolist() == [result.id for result in ran.results]
    assert names["means"].shape == (4, 3)  # 2 H_find x 2 H_eval, 3 rounds
    assert len(names["axes"].get_lines()) == 4
    assert write_report(ran.run_dir).answer == ran.report.answer
    assert Path("runs", "tiny", "figures", "fig2.png").exists()
