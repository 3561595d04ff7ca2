"""Numbers in words."""

import pytest

from tune_app.words import duration, plural


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0.0s"),
        (0.84, "0.8s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (252, "4m12s"),
        (3599.6, "1h00m"),
        (3900, "1h05m"),
        (86400 * 3 + 3600 * 4, "3d04h"),
    ],
)
def test_a_duration_is_short(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("n", "noun", "words"),
    [
        (0, "seed", "0 seeds"),
        (1, "seed", "1 seed"),
        (1024, "training", "1,024 trainings"),
        (1, "sparsity", "1 sparsity"),
        (2, "sparsity", "2 sparsities"),
        (1.0, "GPU", "1 GPU"),
        (0.25, "GPU", "0.25 GPUs"),
    ],
)
def test_numbers_have_their_noun(n, noun, words):
    assert plural(n, noun) == words
