"""What a round of a fleet gives back: the trained parameters alone, and in numbers what came of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from device_runtime.engines.base import Engine
from device_runtime.evaluation import Evaluation, Images, evaluate
from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import read_metrics
from device_runtime.formats.model import Model
from device_runtime.formats.round import ROUND_PARAMETERS, RoundResult, write_round


def tested(engine: Engine, test: Images, batch_size: int, model: Model) -> Evaluation:
    """What the model that the engine holds is worth on the test images.

    Raises:
      FormatError: its loss is no finite number, which no round goes on from.
    """
    found = evaluate(engine, test, batch_size, model)
    if not math.isfinite(found.loss):
        raise FormatError(
            f"the loss on the test images is {found.loss}: the fleet diverged: "
            "give a smaller --learning-rate, or another --strategy"
        )
    return found


def losses_from(first: int, output: Path) -> list[float]:
    """The losses of the updates from `first` on that are recorded in `output`."""
    return [r["loss"] for r in read_metrics(output) if r["event"] == "step" and r["step"] >= first]


def round_result(
    images: int, losses: Sequence[float], before: Evaluation, after: Evaluation, seconds: float
) -> RoundResult:
    """What came of a round.

    Args:
      images: to train on.
      losses: of all updates, at least one.
      before: the model that was given, on the test images.
      after: the trained one.
      seconds: of the training.
    """
    return RoundResult(
        images=images,
        steps=len(losses),
        loss=sum(losses) / len(losses),
        accuracy=after.score,
        test_loss=after.loss,
        accuracy_before=before.score,
        test_loss_before=before.loss,
        seconds=round(seconds, 6),
    )


def write_round_of(output: Path, dtype: str, engine: Engine, model: Model, result: RoundResult) -> None:
    """Writes round.safetensors, float32 or float16, and then round.json.

    Raises:
      FormatError: a number is beyond float16, or the disk is full.
    """
    # Step 0 and no state: what trains on from it begins anew.
    trained = Checkpoint(0, engine.parameters(), engine.buffers(), {})
    write_checkpoint(output / ROUND_PARAMETERS, trained, model, dtype)
    write_round(output, result)
