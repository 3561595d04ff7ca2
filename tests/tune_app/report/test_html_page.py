import base64
import webbrowser
from html.parser import HTMLParser

import pytest
from synthetic_run import SWEEP, synthetic_results, write_run

from tune_app.report.__main__ import main
from tune_app.report.write import write_report

DESCRIPTION = (
    "which <b>is</b> best? ![logo](https://example.org/logo.png) ![page](/etc/hostname) "
    "[notes](../notes.md) [paper](https://arxiv.org/abs/1803.03635)"
)


class Page(HTMLParser):
    """What a browser would load, follow and show."""

    def __init__(self, html):
        super().__init__()
        self.sources, self.links, self.anchors, self.tags, self.texts = [], [], set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.sources += [attrs["src"]] if "src" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.anchors |= {attrs["id"]} if "id" in attrs else set()

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []


@pytest.fixture
def run_dir(tmp_path):
    text = SWEEP.replace(
        "does the learning rate that finds the best mask also train it best?", "''"
    )
    text = text.replace("description: ''", f"description: '{DESCRIPTION}'")

    def accuracy(kind, find, eval_, round):
        return 0.9 if find is None or find.lr == eval_.lr else 0.94

    return write_run(tmp_path / "run", text, lambda sweep: synthetic_results(sweep, accuracy))


def test_the_page_needs_no_other_file(run_dir):
    report = write_report(run_dir)
    assert [path.name for path in report.paths[-2:]] == ["report.html", "report.md"]
    html = (run_dir / "report.html").read_text()
    page = Page(html)
    figures = [path for path in report.paths if path.suffix == ".png"]
    assert len(figures) == 6
    assert [source.partition(",")[0] for source in page.sources] == ["data:image/png;base64"] * 6
    inside = [base64.b64decode(source.partition(",")[2]) for source in page.sources]
    assert inside == [path.read_bytes() for path in figures]

    assert page.links[-1] == "https://arxiv.org/abs/1803.03635"
    assert page.links[:-1] == ["#figures", "#tables", "#what-tickets-cost", "#provenance"]
    assert page.anchors >= {link[1:] for link in page.links[:-1]} | {"fig1", "fig2", "fig6"}
    assert not {"script", "link", "iframe", "b"} & {*page.tags}
    assert "url(" not in html and "@import" not in html
    assert "which <b>is</b> best?" in " ".join(page.texts) and "notes" in " ".join(page.texts)


def test_the_answer_is_first_and_all_of_the_report_is_there(run_dir):
    report = write_report(run_dir)
    page = Page((run_dir / "report.html").read_text())
    start = [text for text in page.texts if not text.startswith(":root")]
    assert start[:3] == ["tiny", "tiny", report.answer]  # the window's title, then the page's

    text = (run_dir / "report.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert page.tags.count("tr") == sum(not row.startswith("| ---") for row in rows)
    assert page.tags.count("table") == sum(row.startswith("| ---") for row in rows) > 0
    on_page = " ".join(page.texts)
    for sentence in (*report.notes, "Provenance", "a83d773f0000-dirty", "over seeds, n = 3"):
        assert sentence in on_page.replace("\u00a0", " ")
    # Below each figure its caption, with the commit.
    assert on_page.count("commit a83d773f0000-dirty.") == page.tags.count("img")


def test_open_shows_the_page_in_the_browser(run_dir, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    monkeypatch.chdir(run_dir.parent)
    assert main(["run"]) == 0
    assert opened == []
    assert main(["run", "--open"]) == 0
    assert opened == [(run_dir / "report.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    capsys.readouterr()
    assert main(["run", "--open"]) == 0
    assert "no browser found; the page is run/report.html" in capsys.readouterr().err
