"""What a pruned network costs; without torch, which takes seconds to load."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The size of a network under a mask, and what its smaller forms are measured against."""

    weights: int
    """Prunable weights of the dense network."""

    alive: int
    """Of them, those that the mask leaves."""

    live: int | None
    """Of those, the weights on a path from the input to the output; the others change nothing:
    Vysogorets & Kempe 2023 (arXiv:2107.02306), effective sparsity. None where it cannot be told
    (`lt_core/live_paths.py`)."""

    macs: int
    """Multiply-adds for one image, those of pruned weights left out."""

    dense_macs: int
    """Those of the dense network."""

    dense_bytes: int
    """All parameters of the dense network, 4 bytes each."""

    bitmask_bytes: int
    """The same, of the prunable weights only those alive, with a bit for each that says which; of
    whole filters, the parameters of the smaller network."""

    csr_bytes: int
    """The same in compressed sparse rows: for each weight alive its value and its column, 4 bytes
    each, and 4 for the start of each row; of whole filters as above."""
