"""The masks of a grid compared, with overlaps worked out by hand."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from synthetic_run import SWEEP, synthetic_results, write_run
from tiny_sweep import file_of

from lt_core.packed_mask import PackedMask
from tune_app.plan.plan import make_plan
from tune_app.report import masks as module
from tune_app.report.__main__ import main
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.overlap import draw_overlap
from tune_app.report.masks import compare_masks, spread
from tune_app.report.masks_tables import overlap_csv, overlap_lines, overlap_rows
from tune_app.report.write import write_report
from tune_app.results.store_of_run import elsewhere
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep

LR = "lr: {values: [0.1, 0.5]}"


def packed(*layers: str) -> PackedMask:
    """A mask of flat layers, written as ones and zeros."""
    bits = np.array([bit == "1" for bit in "".join(layers)])
    return PackedMask(
        {f"layer{i}": (len(text),) for i, text in enumerate(layers)}, np.packbits(bits)
    )


# Two layers of eight weights, 4 and 2 of them alive: by chance 4 * 4 / 8 + 2 * 2 / 8 = 2.5 of
# 12 - 2.5 = 9.5 in both.
CHANCE = 2.5 / 9.5
COMMON = packed("11110000", "11000000")
OTHERS = {
    0: packed("11110000", "00110000"),  # 4 of 8 with COMMON
    1: packed("11001100", "11000000"),  # 4 of 8
    2: packed("00001111", "00110000"),  # 0 of 12
}
# Between seeds 0 and 1, 0 and 2, 1 and 2 of OTHERS: 2 of 10 each.


def of_find_and_seed(find, seed, round):
    """The same mask at LR 0.1 for every seed; the others at LR 0.5."""
    return COMMON if find.lr == 0.1 else OTHERS[seed]


@pytest.fixture
def tickets_of(tmp_path):
    """A sweep of a text, its plan, and a store with a mask for each of its tickets."""

    def make(text=SWEEP, mask_of=of_find_and_seed):
        (tmp_path / "sweep.yaml").write_text(text)
        sweep = load_sweep(tmp_path / "sweep.yaml")
        plan, store = make_plan(sweep), Store(str(tmp_path / "_store"))
        store.create()
        for chain in plan.chains:
            for round, ticket in enumerate(chain.tickets, start=1):
                if mask := mask_of(chain.find, chain.seed, round):
                    store.put_ticket(ticket, mask.to_bytes())
        return sweep, plan, store

    return make


def by_finds(masks, round):
    return {overlap.finds: overlap for overlap in masks.overlaps if overlap.round == round}


def test_overlaps_between_h_find_and_between_seeds(tickets_of):
    masks = compare_masks(*tickets_of())
    assert masks.notes == ()
    assert {overlap.round for overlap in masks.overlaps} == {2, 4}
    assert masks.sparsities == {2: 1 - 6 / 16, 4: 1 - 6 / 16}

    found = by_finds(masks, 4)
    assert [*found] == [(0, 0), (0, 1), (1, 1)]
    between, same, other = found[0, 1], found[0, 0], found[1, 1]
    # 1/2, 1/2 and 0: a mean of 1/3, a variance of (1/36 + 1/36 + 1/9) / 2 = 1/12.
    assert between.jaccard.mean == pytest.approx(1 / 3)
    assert between.jaccard.std == pytest.approx((1 / 12) ** 0.5)
    assert (same.jaccard.mean, same.jaccard.std) == (1, 0)
    assert other.jaccard.mean == pytest.approx(2 / 10)
    assert [overlap.jaccard.n for overlap in found.values()] == [3, 3, 3]
    assert [overlap.chance for overlap in found.values()] == pytest.approx([CHANCE] * 3)

    assert same.above_chance == 1
    assert between.above_chance == pytest.approx((1 / 3 - CHANCE) / (1 - CHANCE))
    assert other.above_chance < 0


def test_masks_are_compared_within_their_round(tickets_of):
    """Not with another one, whose number of weights is another."""

    def thinner(find, seed, round):
        return of_find_and_seed(find, seed, round) if round < 4 else packed("10000000", "10000000")

    masks = compare_masks(*tickets_of(mask_of=thinner))
    assert masks.sparsities == {2: 1 - 6 / 16, 4: 1 - 2 / 16}
    assert {overlap.jaccard.mean for overlap in by_finds(masks, 4).values()} == {1}


def test_the_masks_of_lpr_constrained_pruning_are_no_tickets_of_h_find(tickets_of):
    text = SWEEP.replace("find:\n", "find:\n  lpr_from: [{lr: 0.5}]\n")
    sweep, plan, store = tickets_of(text)
    for chain in plan.chains:
        if chain.lpr_tickets:
            store.put_ticket(chain.tickets[3], packed("00000001", "00000001").to_bytes())
    assert compare_masks(sweep, plan, store).overlaps == compare_masks(*tickets_of()).overlaps


def test_the_tables(tickets_of):
    sweep, plan, store = tickets_of()
    masks = compare_masks(sweep, plan, store)
    # 1 - 6/16 is 62.5% pruned; the square root of 1/12 is 0.289.
    cell = {name: f"{name}, chance 0.26" for name in ("0.33 ± 0.29 (3)", "1.00 ± 0.00 (3)")}
    assert overlap_rows(sweep, masks) == [
        ["", "62.5% pruned", "62.5% pruned"],
        ["LR_find 0.1 and LR_find 0.5", *[cell["0.33 ± 0.29 (3)"]] * 2],
        ["LR_find 0.1, two seeds", *[cell["1.00 ± 0.00 (3)"]] * 2],
        ["LR_find 0.5, two seeds", *["0.20 ± 0.00 (3), chance 0.26"] * 2],
    ]
    section = overlap_lines(sweep, masks)
    assert section[0] == "## Masks compared\n"
    assert "| LR_find 0.1 and LR_find 0.5 | 0.33 ± 0.29 (3), chance 0.26 |" in section[-1]

    header, *rows = overlap_csv(sweep, masks)
    assert header == [
        *("round", "sparsity", "between", "find_lr", "other_find_lr"),
        *("n", "jaccard_mean", "jaccard_std", "chance_mean"),
    ]
    assert [row[:6] for row in rows[:3]] == [
        [2, 0.625, "seeds", "0.1", "0.1", 3],
        [2, 0.625, "H_find", "0.1", "0.5", 3],
        [2, 0.625, "seeds", "0.5", "0.5", 3],
    ]
    assert rows[1][6:] == pytest.approx([1 / 3, (1 / 12) ** 0.5, CHANCE])
    assert [row[0] for row in rows] == [2, 2, 2, 4, 4, 4]


def test_one_pair_has_no_deviation_and_a_cell_without_masks_a_dash(tickets_of):
    def some(find, seed, round):
        return None if find.lr == 0.5 and (seed > 0 or round > 2) else COMMON

    sweep, plan, store = tickets_of(mask_of=some)
    masks = compare_masks(sweep, plan, store)
    assert overlap_rows(sweep, masks)[1][1:] == ["1.00 (1), chance 0.26", "–"]
    [row] = [row for row in overlap_csv(sweep, masks) if row[2] == "H_find"]
    assert row[5:8] == [1, 1.0, ""]
    # 2 of 3 seeds at round 2, all 3 at round 4.
    assert masks.notes == (
        "The masks are compared without 5 of 12 tickets: not in the store, or damaged.",
    )
    assert "Incomplete: 2 of 2 pairs have masks of fewer than 3 seeds." in caption(
        draw_overlap(sweep, masks, None)
    )


def test_what_has_no_two_masks_has_no_word_on_them(tickets_of):
    text = SWEEP.replace(LR, "lr: {values: [0.1]}", 1)
    one_of_each = compare_masks(*tickets_of(text.replace("[0, 1, 2]", "[0]")))
    assert (one_of_each.overlaps, one_of_each.notes) == ((), ())
    assert overlap_lines(load_sweep, one_of_each) == []

    sweep, plan, store = tickets_of(text)
    seeds = compare_masks(sweep, plan, store)
    assert [*by_finds(seeds, 2)] == [(0, 0)]
    assert overlap_rows(sweep, seeds)[1][0] == "LR_find 0.1, two seeds"
    with pytest.raises(NotDrawn, match="no masks of two H_find with the same seed"):
        draw_overlap(sweep, seeds, None)


# ---- the store


def test_without_a_store_nothing_is_compared_and_that_is_said(tickets_of, tmp_path):
    sweep, plan, _ = tickets_of()
    masks = compare_masks(sweep, plan, Store(str(tmp_path / "none")))
    assert masks.overlaps == ()
    [note] = masks.notes
    assert note == f"The masks are not compared: there is no store at {tmp_path}/none."

    empty = Store(str(tmp_path / "empty"))
    empty.create()
    [note] = compare_masks(sweep, plan, empty).notes
    assert note == (
        "The masks are not compared: the store does not have two of them at any sparsity."
    )


def test_a_damaged_ticket_is_left_out_and_that_is_said(tickets_of):
    sweep, plan, store = tickets_of()
    ticket = plan.chains[0].tickets[3]
    path = file_of(store, "tickets", ticket)
    path.write_bytes(path.read_bytes()[:-3])
    masks = compare_masks(sweep, plan, store)
    assert by_finds(masks, 4)[0, 1].jaccard.n == 2
    assert masks.notes == (
        "The masks are compared without 1 of 12 tickets: not in the store, or damaged.",
    )
    assert path.exists()  # to be set aside by what trains under it


def test_a_ticket_of_another_network_is_left_out(tickets_of):
    sweep, plan, store = tickets_of()
    store.put_ticket(plan.chains[0].tickets[3], packed("1111", "1").to_bytes())
    masks = compare_masks(sweep, plan, store)
    assert by_finds(masks, 4)[0, 1].jaccard.n == 2
    assert masks.notes == (
        "The masks are compared without 1 of 12 tickets: not in the store, or damaged.",
    )


def test_a_store_that_refuses_takes_no_report(tickets_of):
    sweep, plan, store = tickets_of()
    path = file_of(store, "tickets", plan.chains[0].tickets[1])
    path.unlink()
    path.mkdir()  # reading it is an OSError
    [note] = compare_masks(sweep, plan, store).notes
    assert note.startswith(f"The masks are not compared: {store.place}: ")


@pytest.mark.parametrize(
    ("most", "expected"),
    [(14, range(1, 15)), (6, [1, 4, 6, 9, 11, 14]), (2, [1, 14]), (1, [14])],
)
def test_rounds_are_evenly_spread_with_the_last(most, expected):
    assert spread(range(1, 15), most) == [*expected]


def test_large_masks_are_compared_at_fewer_sparsities(tickets_of, monkeypatch):
    text = SWEEP.replace("  at_sparsity: [0.75, 0.94]\n", "")
    sweep, plan, store = tickets_of(text)
    # 6 masks of 2 bytes at each of rounds 1 to 4.
    monkeypatch.setattr(module, "MAX_BYTES", 4 * 12)
    assert [*compare_masks(sweep, plan, store).sparsities] == [1, 2, 3, 4]
    for room, rounds in ((4 * 12 - 1, [1, 3, 4]), (2 * 12, [1, 4]), (1, [4])):
        monkeypatch.setattr(module, "MAX_BYTES", room)
        masks = compare_masks(sweep, plan, store)
        assert [*masks.sparsities] == rounds
        assert masks.notes == (
            f"The masks are compared at {len(rounds)} of 4 sparsities, since those of one take "
            "0.0 GB.",
        )
        assert f"At {len(rounds)} of 4 evaluated sparsities.\n" in overlap_lines(sweep, masks)


# ---- the figure


def caption(figure):
    return figure.get_label().replace("\u00a0", " ")


def test_the_figure_has_pairs_below_the_diagonal_and_seeds_on_it(tickets_of):
    sweep, plan, store = tickets_of()
    figure = draw_overlap(sweep, compare_masks(sweep, plan, store), "abc")
    first, second = (axes for axes in figure.axes if axes.get_images())
    assert [axes.get_title(loc="left") for axes in (first, second)] == [
        "(a)  62.5% pruned",
        "(b)  62.5% pruned",
    ]
    [image] = second.get_images()
    shown = image.get_array().filled(np.nan)
    expected = [[1, np.nan], [(1 / 3 - CHANCE) / (1 - CHANCE), (0.2 - CHANCE) / (1 - CHANCE)]]
    np.testing.assert_allclose(shown, expected)
    numbers = {text.get_position(): text.get_text() for text in second.texts}
    assert numbers == {(0, 0): "1.00\n(0.26)", (0, 1): "0.33\n(0.26)", (1, 1): "0.20\n(0.26)"}
    assert [text.get_text() for text in first.get_yticklabels()] == ["0.1", "0.5"]
    assert first.get_ylabel() == r"LR$_\mathrm{find}$"
    said = caption(figure)
    assert "mean over seeds, n = 3; commit abc." in said and "Incomplete" not in said


EIGHT = "lr: {values: [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5]}"
MANY = "lr: {values: [" + ", ".join(f"{0.01 * i:.2f}" for i in range(1, 41)) + "]}"
FIELDS = f"{LR}\n    batch_size: {{values: [64, 128]}}\n    weight_decay: {{values: [5e-4, 5e-3]}}"


@pytest.mark.parametrize(
    ("finds", "rounds"),
    [(LR, 1), (LR, 2), (LR, 6), (EIGHT, 1), (EIGHT, 6), (FIELDS, 2), (MANY, 1), (MANY, 3)],
    ids=["two", "two twice", "two often", "eight", "eight often", "fields", "many", "many often"],
)
def test_nothing_leaves_the_page(tickets_of, finds, rounds):
    text = SWEEP.replace(LR, finds, 1).replace("rounds: 4", f"rounds: {rounds}")
    text = text.replace("  at_sparsity: [0.75, 0.94]\n", "").replace("[0, 1, 2]", "[0, 1]")
    sweep, plan, store = tickets_of(text, lambda *_: COMMON)
    figure = draw_overlap(sweep, compare_masks(sweep, plan, store), "a83d773f0000-dirty")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    parts = [axes.get_tightbbox(canvas.get_renderer()) for axes in figure.axes]
    for part in parts:
        assert part.x0 >= 0 and part.x1 <= figure.bbox.x1
        assert part.y0 >= 0 and part.y1 <= figure.bbox.y1
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert len(panels) == rounds
    for axes in panels:
        assert axes.get_window_extent().width > 0.9 * figure.dpi  # an inch is large enough to see
        labels = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(left.x1 < right.x0 for left, right in pairwise(labels))


# ---- the report


@pytest.fixture
def run_dir(tickets_of, tmp_path):
    tickets_of()
    return write_run(tmp_path / "run", SWEEP, lambda s: synthetic_results(s, lambda *_: 0.9))


def test_a_report_reads_the_store_beside_its_directory(run_dir):
    report = write_report(run_dir)
    names = [str(path.relative_to(run_dir)) for path in report.paths]
    assert "figures/overlap.png" in names and "tables/overlap.csv" in names
    assert report.notes == ()
    page = (run_dir / "report.md").read_text()
    assert "](figures/overlap.png)" in page
    assert page.count("\n## Masks compared\n") == 1

    # With the store go the figure, the table and the section.
    (run_dir.parent / "_store").rename(run_dir.parent / "moved")
    report = write_report(run_dir)
    assert report.notes == (
        f"The masks are not compared: there is no store at {run_dir.parent}/_store.",
    )
    assert not list(run_dir.rglob("overlap.*"))
    assert "## Masks compared" not in (run_dir / "report.md").read_text()


def test_a_report_reads_the_store_that_it_is_given(run_dir, capsys):
    moved = run_dir.parent / "moved"
    (run_dir.parent / "_store").rename(moved)
    assert main([str(run_dir), "--store", str(moved)]) == 0
    assert f"{run_dir}/figures/overlap.png" in capsys.readouterr().out.splitlines()


def test_a_report_reads_the_store_that_run_json_names(run_dir, tmp_path):
    moved = run_dir.parent / "moved"
    (run_dir.parent / "_store").rename(moved)
    said = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps(said | {"store": str(moved)}))
    assert write_report(run_dir).notes == ()
    # A place that is given is another.
    assert write_report(run_dir, str(tmp_path / "no")).notes == (
        f"The masks are not compared: there is no store at {tmp_path}/no.",
    )


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("runs/_store", ""),
        ("./runs/_store/", ""),
        ("_store", "{here}/_store"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("s3://key:secret@bucket/folder", ""),
    ],
)
def test_a_run_names_its_store_where_it_is_not_beside_it(monkeypatch, tmp_path, place, said):
    monkeypatch.chdir(tmp_path)
    assert elsewhere(place, Path("runs")) == said.format(here=tmp_path)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("", "--store: must be a directory or a URL, got nothing"),
        ("ftp://me:secret@x/y", "ftp://***@x/y/store.json: cannot be read: must be a directory,"),
    ],
)
def test_a_store_that_cannot_be_opened_takes_no_report(run_dir, capsys, place, why):
    assert main([str(run_dir), "--store", place]) == 0
    lines = capsys.readouterr().out.splitlines()
    [note] = [line for line in lines if line.startswith("The masks")]
    assert note.startswith(f"The masks are not compared: {why}")
    assert (run_dir / "report.md").exists()


def test_comparing_masks_loads_no_torch(run_dir):
    code = f"""
import sys
from pathlib import Path
from tune_app.report.masks import compare_masks
from tune_app.results.reading import read_grid, read_sweep
from tune_app.results.store_of_run import elsewhere
from tune_app.store.store import Store
run_dir = Path({str(run_dir)!r})
sweep = read_sweep(run_dir)
masks = compare_masks(sweep, read_grid(run_dir, sweep)[0], Store(str(run_dir.parent / "_store")))
print(len(masks.overlaps), {{"torch", "ray", "mlflow"}} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "6 set()\n", done.stderr


def test_a_launch_compares_the_masks_that_it_found(finished):
    run = finished[1] / "tiny"
    assert (run / "figures" / "overlap.png").stat().st_size > 10_000
    section = (run / "report.md").read_text().split("## Masks compared\n")[1]
    assert "| LR_find 0.05 and LR_find 0.2 | " in section
    _, *rows = (run / "tables" / "overlap.csv").read_text().splitlines()
    # Rounds 1 and 2; LR 0.05 with 0.2, and two seeds of each.
    assert len(rows) == 2 * 3
    jaccards = [float(row.split(",")[6]) for row in rows]
    assert all(0 < jaccard < 1 for jaccard in jaccards)
