"""What a round of a fleet gives back: the trained parameters alone, and in numbers what came of them."""

from __future__ import annotations

from pathlib import Path

from device_runtime.engines.base import Engine
from device_runtime.evaluation import Evaluation
from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.metrics import read_metrics
from device_runtime.formats.model import Model
from device_runtime.formats.round import ROUND_PARAMETERS, RoundResult, write_round


def write_round_of(
    output: Path,
    dtype: str,
    engine: Engine,
    model: Model,
    images: int,
    seconds: float,
    before: Evaluation,
    after: Evaluation,
) -> None:
    """Writes round.safetensors and then round.json.

    Args:
      output: takes them, and has the metrics of the training.
      dtype: float32 or float16: of the parameters.
      engine: holds them.
      model: that they are of.
      images: that were trained on.
      seconds: of the training.
      before: the model that was given, on the test images.
      after: the trained one.

    Raises:
      FormatError: a number is beyond float16, or the disk is full.
    """
    trained = Checkpoint(0, engine.parameters(), engine.buffers(), {})
    write_checkpoint(output / ROUND_PARAMETERS, trained, model, dtype)
    losses = [record["loss"] for record in read_metrics(output) if record["event"] == "step"]
    result = RoundResult(
        images=images,
        steps=len(losses),
        loss=sum(losses) / len(losses),
        accuracy=after.accuracy,
        test_loss=after.loss,
        accuracy_before=before.accuracy,
        test_loss_before=before.loss,
        seconds=round(seconds, 6),
    )
    write_round(output, result)
