"""Kill what a sweep runs on, at random moments, and see that nothing is lost.

python tests/cluster/soak.py [number of kills] [seed]

Launches a sweep of seconds again and again, each time with the same command, and kills a worker,
the actor that holds the masks, the launch or everything it started; often while a file is being
written. What must hold: a result that was there is never made again, and in the end all results,
masks and weights are those of a run that nobody disturbed, bit for bit.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tune_app"))

from tiny_sweep import TINY, command, environment, read_results, what_was_computed

OVERRIDES = ("train.duration=4ep", "checkpoint_every=1ep", "max_failures=100")

FAULTS = ("worker", "holder", "launch", "everything")


def soak(num_kills: int, seed: int, say: Callable[[str], None]) -> Counter[str]:
    """Run the sweep in peace, then with so many kills; how often each fault was injected.

    Raises:
        AssertionError: when something was lost, or made twice.
    """
    drawn = random.Random(seed)
    injected: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.yaml").write_text(TINY)
        assert _launch(folder / "undisturbed").wait() == 0
        while injected.total() < num_kills:
            runs = folder / f"from kill {injected.total()}"
            _run(runs, drawn, injected, num_kills, say)
            _compare(runs, folder / "undisturbed")
    return injected


def _launch(runs: Path) -> subprocess.Popen:
    with runs.with_suffix(".log").open("a") as log:
        arguments = (runs.parent / "tiny.yaml", *OVERRIDES, "--out", runs)
        return subprocess.Popen(command(*arguments), env=environment(), stdout=log, stderr=log)


def _run(
    runs: Path,
    drawn: random.Random,
    injected: Counter[str],
    num_kills: int,
    say: Callable[[str], None],
) -> None:
    """The same command until it succeeds, with kills as long as there are some left."""
    made: dict[Path, int] = {}
    code = None
    while code != 0:
        launch = _launch(runs)
        while launch.poll() is None and injected.total() < num_kills:
            fault = drawn.choice(FAULTS)
            if _wait_for_a_moment(drawn, launch, runs) and _kill(fault, launch, drawn):
                injected[fault] += 1
                say(f"{injected.total()}: {fault} killed, {len(_files(runs, 'results'))} results")
        code = launch.wait()
        assert code in (0, -9), runs.with_suffix(".log").read_text()
        for file, written_at in made.items():
            assert file.stat().st_mtime_ns == written_at, f"{file} was made twice"
        made = {file: file.stat().st_mtime_ns for file in _files(runs, "results")}


def _compare(runs: Path, undisturbed: Path) -> None:
    assert what_was_computed(read_results(runs)) == what_was_computed(read_results(undisturbed))
    for kind in ("tickets", "weights"):
        ours, theirs = (
            {file.name: file.read_bytes() for file in _files(out, kind)}
            for out in (runs, undisturbed)
        )
        assert ours == theirs, f"{kind} are others"
    assert not _files(runs, "checkpoints") and not (runs / "_store" / "damaged").exists()


def _files(out: Path, kind: str) -> list[Path]:
    return list((out / "_store" / kind).rglob("*.gz"))


def _wait_for_a_moment(drawn: random.Random, launch: subprocess.Popen, runs: Path) -> bool:
    """Until some time has passed or, as often, something is being written; False if it ended."""
    end = time.monotonic() + drawn.uniform(0, 15)
    kind = drawn.choice(("results", "tickets", "weights", "checkpoints", None))
    while launch.poll() is None and time.monotonic() < end:
        if kind is not None and any((runs / "_store" / kind).rglob("*.part")):
            break
        time.sleep(0.001)
    return launch.poll() is None


def _kill(fault: str, launch: subprocess.Popen, drawn: random.Random) -> bool:
    """Whether there was something to kill."""
    below = list(_below(launch.pid))
    named = {"worker": "ray::TicketTrial", "holder": "ray::TicketHolder"}
    match fault:
        case "launch":
            launch.kill()
        case "everything":
            launch.kill()
            for process in below:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        case _:
            found = [p for p in below if named[fault] in _title(p)]
            if not found:
                return False
            with suppress(psutil.NoSuchProcess):
                drawn.choice(found).kill()
    return True


def _below(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        yield from psutil.Process(pid).children(recursive=True)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


if __name__ == "__main__":
    num_kills, seed = (int(text) for text in (sys.argv[1:] + ["20", "0"][len(sys.argv) - 1 :]))
    begin = time.monotonic()
    injected = soak(num_kills, seed, lambda text: print(text, flush=True))
    print(f"{dict(injected)} in {time.monotonic() - begin:.0f} s: nothing was lost")
