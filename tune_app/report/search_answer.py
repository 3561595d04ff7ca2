"""The answer of a search: its best coupled and its best decoupled configuration, on validation."""

from tune_app.report.search_words import counts, place, points, sparsities
from tune_app.search.chooser import Configuration
from tune_app.search.ranking import rank
from tune_app.search.samples import Samples
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


def answer(sweep: Sweep, samples: Samples) -> str:
    """One sentence: what to expect of the best configurations, and what decoupling gains."""
    if not any(sample.state == "complete" for sample in samples.judged):
        return f"No answer: {counts(samples)}; none is complete."
    ranking = rank(sweep, samples.judged)
    said: list[str] = []
    found: list[Configuration] = []
    for coupled, name in ((True, "coupled"), (False, "decoupled")):
        if top := ranking.best(coupled):
            [expected] = ranking.expected([top.configuration])
            where = place(sweep, top.configuration)
            one = "one" if found else "configuration"
            said.append(f"the best {name} {one}, {where}, is at {points(expected)}%")
            found.append(top.configuration)
    where = sparsities(sweep).capitalize()
    basis = (
        f"validation, posterior mean ± its deviation given {plural(len(samples.all), 'sample')} "
        f"and {plural(samples.spent[0], 'training')}"
    )
    if samples.known:
        basis += f", and {plural(len(samples.known), 'configuration')} of other sweeps"
    if len(found) == 1:
        other = "decoupled" if found[0].coupled else "coupled"
        return f"{where}, {said[0]} ({basis}); no {other} one is complete."
    coupled_one, decoupled_one = found
    gain = points(ranking.difference(decoupled_one, coupled_one), "+")
    return f"{where}, {said[0]}, and {said[1]}; decoupled less coupled is {gain} points ({basis})."
