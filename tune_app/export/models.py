"""The trained network as programs: for torch.export and for MLflow."""

import io
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import torch

from lt_core.data.batches import Batches
from lt_core.structured.channels import channel_groups
from lt_core.structured.shrinking import shrink
from tune_app.export.choice import Choice
from tune_app.export.retraining import Trained
from tune_app.tracking import connection


class NotTraced(Exception):
    """A network that torch.export cannot trace; the message is the first line of its error."""


@dataclass(frozen=True)
class Models:
    """The network that was written."""

    network: torch.nn.Module
    """On the CPU, in evaluation mode."""

    program: torch.export.ExportedProgram


def write_models(folder: Path, choice: Choice, trained: Trained) -> Models:
    """Write `model.pt2` and `model/`, both or none.

    Raises:
        NotTraced: torch.export cannot trace the network.
    """
    network = _smallest(choice, trained).to("cpu").to(memory_format=torch.contiguous_format)
    images, _ = Batches(trained.images, trained.images.train, "cpu")[:2]
    try:
        with quiet():
            return _write_programs(folder, network, images.contiguous())
    except Exception as error:  # of many kinds, from the network's own code too
        (folder / "model.pt2").unlink(missing_ok=True)
        shutil.rmtree(folder / "model", ignore_errors=True)
        first = next(iter(str(error).splitlines()), "")
        raise NotTraced(f"{type(error).__name__}: {first}") from error


def _smallest(choice: Choice, trained: Trained) -> torch.nn.Module:
    """The network without its pruned filters, even if it was trained with them at 0."""
    network, prune = trained.evaluation.model, choice.sweep.prune
    if prune.strategy == "filter_l1" and not prune.shrink and choice.training.round > 0:
        groups = channel_groups(network.cpu(), trained.images.image_shape)
        return shrink(network, groups, trained.mask)
    return network


def _write_programs(folder: Path, network: torch.nn.Module, images: torch.Tensor) -> Models:
    """Write `model.pt2` and `model/`, for any number of images like these, more than one."""
    network.eval()
    # Dynamic: a network that needs a fixed batch size fails here; MLflow would fix it silently.
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "model.pt2")

    connection.configure()  # before the import, which reads the environment
    import mlflow.pytorch
    from mlflow.models import infer_signature

    with torch.no_grad():
        signature = infer_signature(images.numpy(), network(images).numpy())
    mlflow.pytorch.save_model(
        network,
        folder / "model",
        input_example=images.numpy(),
        signature=signature,
        serialization_format="pt2",
        # Torch is all that a graph needs; without the list, MLflow loads the model in another
        # process to find out.
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
    )
    return Models(network, program)


@contextmanager
def quiet() -> Iterator[None]:
    """Neither stderr nor warnings in the log: a failing torch.export prints graphs there."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
