"""Two runs against each other."""

import re
import shutil
from statistics import fmean

from tiny_search import SEARCH
from tiny_sweep import read_results, run_here

from tune_app.__main__ import main as lottery

# The quantile 0.975 of Student's t with one degree of freedom, from two seeds.
T = 12.7062


def test_differences_are_by_seed_with_their_intervals(variants, tmp_path, rendered):
    runs = variants / "tiny", variants / "tiny-2"
    figure = tmp_path / "both.svg"
    done = run_here(lottery, "compare", *runs, "--out", figure)
    assert done.returncode == 0, done.stderr
    about, counted, *apart = done.stdout.splitlines()
    assert about == "tiny-2 beside tiny: train.weight_decay was 0.0005, now 0.005."

    # By hand: of each configuration and sparsity the two differences, and their interval.
    pairs = {}
    for name in ("tiny", "tiny-2"):
        for line in read_results(variants, name):
            find = line["find"] and line["find"]["lr"] if line["round"] else None
            kind = line["kind"] if line["round"] else "dense"
            key = (kind, find, line["eval"]["lr"], line["round"])
            pairs.setdefault(key, {}).setdefault(line["seed"], []).append(line["test_accuracy"])
    expected = 0
    for by_seed in pairs.values():
        one, other = (round(after - before, 9) for before, after in by_seed.values())
        half = T * abs(one - other) / 2  # std = |a - b| / sqrt 2, over sqrt n = sqrt 2
        expected += one != other and abs(fmean((one, other))) > half
    # 2 dense, 4 x 2 lottery, 2 x 2 global random, 4 x 2 preserve LPR.
    assert len(pairs) == 22
    assert counted.startswith("Of 22 comparisons of test accuracy, ")
    assert f" {expected or 'none'} differ beyond their 95% intervals" in counted
    assert sum(" pruned, " in line or "  dense, " in line for line in apart) == expected
    drawn = figure.read_text()
    assert len(re.findall(r'id="axes_\d+"', drawn)) == 11  # 10 curves, and the legend's corner


def test_a_difference_that_is_sure_is_shown(variants, tmp_path):
    runs = [tmp_path / "before", tmp_path / "after"]
    for run_dir in runs:
        shutil.copytree(variants / "tiny", run_dir)
    path = runs[1] / "results.jsonl"
    text = path.read_text()
    for line in text.splitlines():
        if '"kind":"lottery"' in line and '"round":2' in line:
            accuracy = re.search(r'"test_accuracy":([\d.]+)', line)
            seed = int(re.search(r'"seed":(\d)', line)[1])
            # 50.0 and 50.2 points more: a mean of 50.1, an interval of 12.7062 x 0.1 around it.
            more = float(accuracy[1]) + 0.5 + 0.002 * seed
            text = text.replace(line, line.replace(accuracy[0], f'"test_accuracy":{more:.6f}'))
    path.write_text(text)
    done = run_here(lottery, "compare", *runs)
    assert done.returncode == 0, done.stderr
    shown = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(shown) == 4  # H_find x H_eval
    for line in shown:
        assert line.startswith("  75.0% pruned, lottery, LR_find 0.")
        assert ": +50.1 (+48.8 to +51.4), from " in line
    assert "4 differ beyond" in done.stdout
    assert (tmp_path / "before-vs-after.png").exists()


def test_what_cannot_be_compared_is_refused(variants, tmp_path):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "sweep.yaml").write_text(SEARCH)
    done = run_here(lottery, "compare", variants / "tiny", tmp_path / "best")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path}/best: is a search; its comparison, {tmp_path}/best-best, is a grid\n"
    )
    to = ("--out", tmp_path / "both.jpg")
    done = run_here(lottery, "compare", variants / "tiny", variants / "tiny-2", *to)
    assert done.returncode == 2
    assert done.stderr == "error: --out: must end with one of .png, got .jpg\n"
    done = run_here(lottery, "compare", variants / "tiny", tmp_path / "nothing")
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path}/nothing: no such directory\n")
