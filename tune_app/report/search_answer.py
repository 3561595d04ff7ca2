"""The answer of a search: its best decoupled and its best coupled configuration, on validation."""

from tune_app.report.search_words import complete, counts, place, sparsities
from tune_app.search.samples import Samples, best
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


def answer(sweep: Sweep, samples: Samples) -> str:
    """One sentence: the best decoupled and the best coupled configuration, and their choice."""
    tried = f"Of {plural(len(samples.all), 'sample')} and {plural(samples.spent[0], 'training')}"
    done = complete(samples)
    if not done:
        return f"No answer: {counts(samples)}; none is complete."
    found = []
    for coupled, name in ((False, "decoupled"), (True, "coupled")):
        if top := best(done, coupled):
            value = 100 * top.known_value
            n = sum(sample.configuration.coupled == coupled for sample in done)
            found.append(
                f"the best of {plural(n, f'{name} configuration')}, "
                f"{place(sweep, top.configuration)}, reaches validation {value:.1f}%"
            )
    seeds = f"mean over {plural(len(sweep.seeds), 'seed')} {sparsities(sweep)}"
    optimistic = "the highest of many noisy values is optimistic"
    if len(found) == 1:
        other = "decoupled" if best(done, coupled=True) else "coupled"
        return f"{tried}, {found[0]} ({seeds}; {optimistic}); no {other} one is complete."
    fresh = plural(len(sweep.search_block.report_seeds), "fresh seed")
    return (
        f"{tried}, {' and '.join(found)} ({seeds}); {optimistic}, which is why both are trained "
        f"again over {fresh}."
    )
