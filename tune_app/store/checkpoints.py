"""The state of a running training, in the store under the training's id."""

import time

from lt_core.checkpoint import Checkpoint
from tune_app.store.store import Store


class StoredCheckpoints:
    """Checkpoints of one training: a kill loses at most one interval of it."""

    def __init__(self, store: Store, id: str, seconds: float, epochs: int | None = None) -> None:
        """Set the interval.

        Args:
            store: keeps the state.
            id: the training's.
            seconds: the interval in wall time, rounded up to whole epochs.
            epochs: the interval in epochs; then `seconds` does not count.
        """
        self.store = store
        self.id = id
        self.seconds = seconds
        self.epochs = epochs
        self.num_epochs = 0
        self.last = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The state to go on from as a training begins; None where there is none, or a damaged
        one."""
        self.last = time.monotonic()
        return self.store.checkpoint(self.id, Checkpoint.from_bytes)

    def is_due(self) -> bool:
        """Whether the state is to be kept now; to be called once after each epoch."""
        self.num_epochs += 1
        if self.epochs is not None:
            return self.num_epochs % self.epochs == 0
        return time.monotonic() - self.last >= self.seconds

    def save(self, checkpoint: Checkpoint) -> None:
        self.store.put_checkpoint(self.id, checkpoint.to_bytes())
        self.last = time.monotonic()
