"""Where an interrupted training goes on: its newest whole checkpoint, and what it had recorded until then."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from device_runtime.formats.checkpoint import SUFFIX, Checkpoint, Run, read_checkpoint, trained_name, untrained_name
from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import Record, last_start, read_metrics, score_in, until
from device_runtime.formats.model import Model
from device_runtime.plan import Plan


@dataclass
class Progress:
    """What a training's lines and records sum up over its steps.

    Attributes:
      least_loss: of all steps so far.
      best_scores: of all reports and evaluations so far, by split.
      score: of the last report or evaluation.
      epoch_losses: of the steps of the epoch that has begun.
      reached: score on the test images after the last step, where they were evaluated then.
      since_best: evaluations since the best one of those that steer the training.
    """

    least_loss: float = float("inf")
    best_scores: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    epoch_losses: list[float] = field(default_factory=list)
    reached: float | None = None
    since_best: int = 0

    def found(self, split: str, score: float) -> float:
        """Takes the score of a report or an evaluation; returns the best one of the split."""
        self.score = score
        self.best_scores[split] = max(score, self.best_scores.get(split, score))
        return self.best_scores[split]


def interrupted(output: Path, untrained: Checkpoint, model: Model, package: str) -> tuple[Checkpoint, Path]:
    """What the training in `output` goes on from, and its file: the newest whole checkpoint, or else its start.

    Args:
      output: folder with checkpoints and metrics.
      untrained: what the package's model starts from.
      model: the package's model.
      package: digest of the package.

    Raises:
      FormatError: there is no training, it diverged, or it is one of another package.
    """
    records = read_metrics(output)
    start = last_start(records)
    if start is None:
        raise FormatError(f"{output} holds no training to go on with: start one without --resume")
    if start["package"] != package:
        raise FormatError(
            f"the training in {output} was started with another model or other data than this package has: "
            "package them as they were, or go on from one of its checkpoints with -f"
        )
    if start["engine"] != "lowered":
        raise FormatError(
            f"the training in {output} is of --engine {start['engine']}, which cannot go on: start it again"
        )
    if records[-1]["event"] == "diverged":
        raise FormatError(f"the training in {output} diverged, and would again: {records[-1]['advice']}")
    for path in _saved(output, model):
        try:
            checkpoint = read_checkpoint(path, model)
        except FormatError as error:
            print(f"warning: {error}; going on from the one before", file=sys.stderr, flush=True)
            continue
        if checkpoint.run.id == start["run"]:
            return checkpoint, path
    return _beginning(start, untrained, model), Path(start["file"])


def began_with(output: Path, untrained: Checkpoint, model: Model) -> Checkpoint:
    """What the training in `output` started from.

    Args:
      output: folder with metrics.
      untrained: what the package's model starts from.
      model: the package's model.

    Raises:
      FormatError: there is no training, or it started from a checkpoint that is no longer there.
    """
    start = last_start(read_metrics(output))
    if start is None:
        raise FormatError(f"{output} holds no training: start one without --resume")
    return _beginning(start, untrained, model)


def kept_records(output: Path, start: Checkpoint, path: Path) -> list[Record]:
    """What stays recorded of the training in `output` when one goes on from `start`, whose file is `path`.

    Nothing, where the checkpoint is of another training.
    """
    kept = until(read_metrics(output), start.run.id, start.step)
    if kept and kept[-1]["event"] != "checkpoint" and path.is_file() and path.parent == output:
        # Ended between the checkpoint and its record.
        kept.append({"event": "checkpoint", "step": start.step, "file": path.name})
    return kept


def progress_of(records: Sequence[Record], step: int, steps_per_epoch: int, since_best: int) -> Progress:
    """What the records until update `step` sum up to, with how evaluations stand."""
    losses = {record["step"]: record["loss"] for record in records if record["event"] == "step"}
    evaluated = [r for r in records if r["event"] == "evaluation" and r["split"] == "test"]
    progress = Progress(
        least_loss=min(losses.values(), default=float("inf")),
        epoch_losses=[losses[n] for n in range(step - step % steps_per_epoch + 1, step + 1) if n in losses],
        reached=score_in(evaluated[-1]) if evaluated and evaluated[-1]["step"] == step else None,
        since_best=since_best,
    )
    for record in records:
        if record["event"] in ("report", "evaluation"):
            # A report is of some of the test images.
            progress.found(record.get("split", "test"), score_in(record))
    return progress


def seconds_of(records: Sequence[Record]) -> float:
    """How long the training took until its records end."""
    return max((record.get("seconds") or 0.0 for record in records if record["event"] == "device"), default=0.0)


def _saved(output: Path, model: Model) -> list[Path]:
    """Checkpoints of the model, the newest first."""
    prefix = trained_name(model, 0).removesuffix(f"0{SUFFIX}")
    words = [path.name.removeprefix(prefix).removesuffix(SUFFIX) for path in output.glob(f"*{SUFFIX}")]
    steps = sorted((int(word) for word in words if word.isdecimal()), reverse=True)
    return [output / trained_name(model, step) for step in steps]


def _beginning(start: Record, untrained: Checkpoint, model: Model) -> Checkpoint:
    """What the training started from, of which `start` is the first record."""
    file = Path(start["file"])
    # The package's own is wherever the package is now.
    is_own = start["first"] == 1 and file.name == untrained_name(model)
    first = untrained if is_own else read_checkpoint(file, model)
    # Of a training before an option was there, its record does not have it.
    plan = {name.name: start[name.name] for name in fields(Plan) if name.name in start}
    return replace(first, run=Run(start["run"], start["package"], plan))
