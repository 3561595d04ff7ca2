"""All benchmarks, or those named: `python tests/benchmarks/run.py [name ...]`.

Not a part of the tests: they take about half an hour, two_level_search hours, and a machine that
does something else at the same time measures that too.
"""

import sys
import time

import engine
import replay
import search
import service

BENCHMARKS = {
    benchmark.__name__: benchmark
    for benchmark in (
        *engine.BENCHMARKS,
        *service.BENCHMARKS,
        *replay.BENCHMARKS,
        *search.BENCHMARKS,
    )
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
        return 2
    missed = 0
    for name in names or BENCHMARKS:
        begin = time.monotonic()
        for row in BENCHMARKS[name]():
            verdict = {True: "met", False: "MISSED", None: "-"}[row.is_met]
            missed += row.is_met is False
            print(f"| {row.what} | {row.measured} | {row.goal} | {verdict} |", flush=True)
        print(f"({name}: {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
