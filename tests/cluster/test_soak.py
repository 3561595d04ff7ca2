"""A few kills of `python tests/cluster/soak.py`, which takes any number."""

import pytest
from soak import soak


@pytest.mark.nightly
def test_kills_at_random_moments_lose_nothing():
    assert soak(num_kills=5, seed=1, say=print).total() == 5
