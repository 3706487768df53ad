"""Asks a trained model about images on a target: the package's own runtime answers, here as on a device."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from device_runtime.formats.answers import FILE_NAME as ANSWERS
from device_runtime.formats.answers import MODEL, Answers, read_answers
from device_runtime.formats.dataset import FILE_NAME as DATASET
from device_runtime.formats.dataset import Strip
from pipeline.errors import Interrupted, PipelineError
from pipeline.inference.images import describe
from pipeline.packing.package import build_inference_package
from pipeline.prepare import make_runtime
from pipeline.results.trained import TrainedModel
from pipeline.run import free_target, push
from pipeline.running.scripts import run_script
from pipeline.settings import Settings
from pipeline.targets import Target
from pipeline.targets.device import InterruptedHere

# How long runs with one image are timed.
TIMED_S = 1.0


def ask(
    settings: Settings, model: TrainedModel, folder: Path, strips: Sequence[Strip], *, top: int = 1, timed: bool = False
) -> Answers:
    """What the model says of the images, in the order of the strips; nothing of them stays on the target.

    Args:
      settings: target, serial, build folder, threads.
      model: the model.
      folder: holds the strips' files; takes what else travels.
      strips: the images, at least one.
      top: how many classes of each image.
      timed: whether runs with one image are timed.

    Raises:
      PipelineError: the target cannot be reached or does not answer.
      FormatError: the answer is damaged.
    """
    package = build_inference_package(settings.kind.name, make_runtime(settings), settings.build)
    target = free_target(settings, package)
    push(target, package)
    describe(folder, model, strips)
    shutil.copyfile(model.file, folder / MODEL)
    try:
        target.clear_output()
        target.put([folder / name for name in (MODEL, DATASET, *(strip.file for strip in strips))])
        return _answers(settings, model, target, sum(strip.count for strip in strips), top, timed)
    except InterruptedHere:
        # A job on a device goes on, but nobody waits for this one's answer.
        raise Interrupted("interrupted") from None
    finally:
        # What went wrong before is to be told, not that this cannot be done then either.
        with suppress(PipelineError):
            target.clear_output()


def _answers(settings: Settings, model: TrainedModel, target: Target, images: int, top: int, timed: bool) -> Answers:
    words = ["--probability", model.probability, "--top", str(top), "--threads", str(settings.runner.threads or 1)]
    words += ["--seconds", str(TIMED_S)] if timed else []
    # stdout is the answers' alone.
    run_script(target, "infer.sh", words, lambda line: print(line, file=sys.stderr, flush=True))
    with tempfile.TemporaryDirectory() as pulled:
        target.pull(Path(pulled), ANSWERS)
        return read_answers(Path(pulled), images, len(model.classes))
