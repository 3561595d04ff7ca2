"""A gate that the trials of a launch stop at, so that a test finds them where it wants them."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR


class Gate:
    """Where each trial leaves a note before it trains, and waits until the gate is open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)

    def environment(self, after_a_checkpoint: bool = False) -> dict[str, str]:
        """Of the launch or the nodes that start the workers.

        Args:
            after_a_checkpoint: whether trainings stop whenever they have kept their state, and not
                before they begin.
        """
        hook = stop_after_a_checkpoint if after_a_checkpoint else stop_before_training
        return {
            WORKER_PROCESS_SETUP_HOOK_ENV_VAR: f"{__name__}.{hook.__name__}",
            "PYTHONPATH": str(Path(__file__).parent),
            "GATE": str(self.folder),
        }

    def notes(self) -> list[dict[str, Any]]:
        """What each trial that has come to the gate was given."""
        return [json.loads(path.read_text()) for path in self.folder.glob("*.json")]

    def open(self) -> None:
        (self.folder / "open").touch()

    def close(self) -> None:
        (self.folder / "open").unlink()


def stop_before_training() -> None:
    """What Ray calls in a new worker, before a trial asks which GPUs it was given."""
    import ray

    given: Callable[[], list[int]] = ray.get_gpu_ids

    def get_gpu_ids() -> list[int]:
        _stop(given())
        return []  # they need not exist: trials train on the CPU, whatever they got

    ray.get_gpu_ids = get_gpu_ids


def stop_after_a_checkpoint() -> None:
    from tune_app.store.checkpoints import StoredCheckpoints

    save = StoredCheckpoints.save

    def save_and_stop(self, checkpoint) -> None:
        save(self, checkpoint)
        _stop([])

    StoredCheckpoints.save = save_and_stop


def _stop(gpus: list[int]) -> None:
    import ray
    import torch

    folder = Path(os.environ["GATE"])
    note = {
        "node": ray.get_runtime_context().get_node_id(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    written = folder / f"{os.getpid()}-{time.monotonic_ns()}"
    written.write_text(json.dumps(note))
    written.rename(written.with_suffix(".json"))
    while not (folder / "open").exists():
        time.sleep(0.05)
