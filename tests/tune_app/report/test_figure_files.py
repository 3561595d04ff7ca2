import io
from xml.etree import ElementTree

import pytest
from PIL import Image
from synthetic_run import SWEEP, synthetic_results

from tune_app.report.figures.grid_curves import fig1
from tune_app.report.figures.image_files import image_files
from tune_app.results.curves import Results
from tune_app.sweep.load import load_sweep


@pytest.fixture
def files(tmp_path, rendered):
    """A figure drawn twice from the same results, as files by format."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    sweep = load_sweep(tmp_path / "sweep.yaml")
    results = Results(synthetic_results(sweep, lambda *_: 0.9))
    return [image_files(fig1(sweep, results, "c0ffee"), "fig1: coupled") for _ in range(2)]


def test_files_are_the_same_each_time(files):
    first, second = files
    assert list(first) == ["png", "pdf", "svg"]
    assert first == second


def test_an_svg_has_its_text_as_text(files):
    root = ElementTree.fromstring(files[0]["svg"])
    lines = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    words = {" ".join(line.split()) for line in lines}
    assert {
        "(a) LR 0.1",
        "(b) LR 0.5",
        "global random",
        "test accuracy (%)",
        "(log scale of what is left)",
    } <= words


def test_a_pdf_has_the_fonts_that_journals_take(files):
    pdf = files[0]["pdf"]
    assert b"/Type0" in pdf and b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_title_caption_and_commit_are_in_the_metadata_and_not_in_the_picture(files):
    [file] = files[:1]
    said = "Coupled runs, found and trained at the same H; every configuration is shown."
    png = Image.open(io.BytesIO(file["png"])).info
    assert png["Title"] == "fig1: coupled"
    assert png["Description"].startswith(said) and png["Description"].endswith("commit c0ffee.")
    in_pdf = [text.encode("utf-16-be") for text in (said, "commit c0ffee.")]
    assert all(text in file["pdf"] for text in in_pdf) and b"/Title (fig1: coupled)" in file["pdf"]
    assert not any(date in file["pdf"] for date in (b"/CreationDate", b"/ModDate"))

    svg = ElementTree.fromstring(file["svg"])
    dc = "{http://purl.org/dc/elements/1.1/}"
    title, _ = svg.iter(f"{dc}title")  # the other is matplotlib's own
    [description] = svg.iter(f"{dc}description")
    assert title.text == "fig1: coupled"
    assert description.text == png["Description"]
    assert not [*svg.iter(f"{dc}date")]
    assert file["svg"].count(b"c0ffee") == 1
