"""The state of a running training, in the store under the training's id."""

import time

from lt_core.checkpoint import Checkpoint
from tune_app.store.store import Store


class StoredCheckpoints:
    """Keeps what a kill would lose: at most `every`, rounded up to whole epochs."""

    def __init__(self, store: Store, id: str, every: str) -> None:
        """For the training with that id; `every` as `checkpoint_every` of a sweep."""
        self.store = store
        self.id = id
        self.minutes = int(every[:-3]) if every.endswith("min") else None
        self.epochs = None if every.endswith("min") else int(every[:-2])
        self.num_epochs = 0
        self.last = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The state to go on from, as a training begins; a damaged one is as none."""
        self.last = time.monotonic()
        data = self.store.checkpoint(self.id)
        return None if data is None else Checkpoint.from_bytes(data)

    def is_due(self) -> bool:
        """Asked after each epoch."""
        self.num_epochs += 1
        if self.epochs is not None:
            return self.num_epochs % self.epochs == 0
        return time.monotonic() - self.last >= 60 * self.minutes

    def save(self, checkpoint: Checkpoint) -> None:
        self.store.put_checkpoint(self.id, checkpoint.to_bytes())
        self.last = time.monotonic()
