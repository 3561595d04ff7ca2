"""What a person sees in MLflow's page, whose views are undocumented: a wrong one draws nothing."""

import asyncio
import json

import pytest
from browser import CHROMIUM, browser
from synthetic_run import SWEEP, synthetic_results, write_run

from tune_app.report.figures.looks import COLOURS
from tune_app.report.write import write_report
from tune_app.results.curves import curves
from tune_app.results.reading import read_grid, read_sweep
from tune_app.tracking.tracker import Tracker

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

# Of each chart of the first section: for every line without a band, whether each point is inside.
CHARTS = """
JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].slice(0, 2).map(plot => {
  const inside = plot.querySelector('.nsewdrag').getBoundingClientRect();
  return [...plot.querySelectorAll('.scatterlayer .trace')]
    .filter(trace => !trace.querySelector('path.js-fill') && trace.querySelector('path.point'))
    .map(trace => [...trace.querySelectorAll('path.point')].map(point => {
      const at = point.getBoundingClientRect();
      return at.left >= inside.left - 9 && at.right <= inside.right + 9
        && at.top >= inside.top - 9 && at.bottom <= inside.bottom + 9;
    }));
}))
"""


def accuracy(kind, find, eval_, round):
    if kind != "lottery":
        return 0.9 - 0.02 * round
    return 0.98 - 0.01 * round * (find is not None and find.lr != eval_.lr)


@pytest.fixture
def main_view(server, tmp_path, rendered):
    """The address of the main view of a finished run."""
    start, _ = server
    run_dir = write_run(tmp_path / "tiny", SWEEP, lambda sweep: synthetic_results(sweep, accuracy))
    write_report(run_dir)
    sweep = read_sweep(run_dir)
    found = curves(read_grid(run_dir, sweep)[1])
    tracker = Tracker(start(), sweep, tmp_path, None)
    tracker.log_curves(found)
    tracker.save_views(found)
    tracker.log_report(run_dir)
    return tracker.url()


@pytest.mark.nightly
def test_a_person_sees_curves_and_the_report(main_view, tmp_path):
    asyncio.run(look(main_view, tmp_path / "profile"))


async def look(address, profile):
    async with browser(profile, 1600, 1400) as page:
        await page.call("Page.navigate", url=address)
        both = "document.querySelectorAll('.js-plotly-plot .scatterlayer .trace path.point').length"
        await page.until(f"{both} >= 10")
        high, every = json.loads(await page.until(CHARTS))
        # Two H_find, each at 0, 75 and 93.8% pruned; the first chart begins at 75%.
        assert every == [[True] * 3] * 2
        assert [len(line) for line in high] == [3] * 2

        shown = await page.until("document.body.innerText")
        names = ("Open: report · H_find at LR_eval 0.1", "Test accuracy", "Model metrics", "lpr")
        places = [shown.find(name) for name in names]
        assert places == sorted(places) and places[0] > 0, shown

        link = "document.querySelector('a[href*=\"artifacts/report.html\"]')?.href"
        await page.call("Page.navigate", url=await page.until(link))
        await page.until("document.querySelector('iframe') !== null")
        frames = (await page.call("Page.getFrameTree"))["frameTree"].get("childFrames", [])
        assert frames
        frame = frames[0]["frame"]["id"]
        world = (await page.call("Page.createIsolatedWorld", frameId=frame))["executionContextId"]
        images = "[...document.images].map(image => image.naturalWidth)"
        widths = await page.until(f"document.images.length > 0 && {images}", contextId=world)
        assert len(widths) == 6 and min(widths) > 500
        await page.until("(document.images[0].scrollIntoView(), true)", contextId=world)
        picture = await page.screenshot()
        blue = tuple(int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
        assert sum(n for n, colour in picture.getcolors(2**24) if colour == blue) > 100
