"""The race of a grid in words for people."""

from tune_app.plan.part import Pair
from tune_app.results.racing import Drop, Standing
from tune_app.results.words import short, varied_fields
from tune_app.sweep.seeds import SeedRace
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


def race_in_words(race: SeedRace) -> str:
    """How a race goes: what the numbers of its plan are at most."""
    return (
        f"at most {race.at_most}: {race.first} of every configuration, then one after another of "
        f"those not clearly below the best, until what decoupling gains is known to ± "
        f"{race.until:g} points"
    )


def name(sweep: Sweep, pair: Pair) -> str:
    """`LR_find 0.1, LR_eval 0.5`."""
    varied = varied_fields(sweep)
    return f"{short(pair[0], varied, 'find')}, {short(pair[1], varied, 'eval')}"


def why_dropped(pair: Pair, drop: Drop) -> str:
    """`8.2 points below the best coupled`, or why a training of it failed."""
    if drop.below is None:
        return drop.reason
    kind = "coupled" if pair[0] == pair[1] else "decoupled"
    return f"{100 * drop.below:.1f} points below the best {kind}"


def gain_in_words(sweep: Sweep, now: Standing) -> str:
    """What decoupling gains at the last look, and whether that is the last one."""
    assert sweep.race is not None  # only then it is asked
    if not now.num_seeds:
        return f"the first {plural(sweep.race.first, 'seed')} have not all ended"
    after = f"after {now.num_seeds} of {plural(sweep.race.at_most, 'seed')}"
    if now.gain is None:
        return f"{after}, all coupled or all decoupled configurations have failed"
    margin = 100 * now.gain.margin
    gain = (
        f"{after}, the best decoupled less the best coupled: {100 * now.gain.mean:+.1f} points of "
        f"{sweep.select_on} accuracy, 95% interval \u00b1 {margin:.1f}"
    )
    if margin <= sweep.race.until:
        return f"{gain}, which is sure enough"
    return gain
