"""A training on this machine that Ctrl-C ends: what is left of it, and the command that goes on."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device_runtime.formats.metrics import read_metrics
from device_runtime.formats.options import words
from pipeline.errors import Interrupted
from pipeline.settings import Settings
from pipeline.targets import kind_of

# What `invoke train` is told in another way or reads from the checkpoint.
REPLACED = ("cycles", "epochs", "seed")


@contextmanager
def explained(settings: Settings, package: Path, script: str) -> Iterator[None]:
    """Around a script that runs with these settings: an interruption of train.sh is explained.

    Of another script nothing is left, and some targets go on alone.

    Raises:
      Interrupted: Ctrl-C was pressed.
    """
    began = time.time()
    try:
        yield
    except KeyboardInterrupt:
        if kind_of(settings.target).goes_on or script != "train.sh":
            raise
        raise Interrupted(_how_to_go_on(settings, package / "output", began)) from None


def _how_to_go_on(settings: Settings, output: Path, began: float) -> str:
    records = read_metrics(output)
    saved = [(output / record["file"], record["step"]) for record in records if record["event"] == "checkpoint"]
    # An earlier training may have left its record.
    saved = [(path, step) for path, step in saved if path.exists() and path.stat().st_mtime >= began]
    if not saved:
        return "interrupted before a checkpoint was saved: --save-every N saves one every N steps"
    path, step = saved[-1]
    last = next(int(record["last"]) for record in reversed(records) if record["event"] == "start")
    message = f"interrupted; the last checkpoint is {path}"
    if settings.runner.engine == "reference":
        return f"{message}, from which --engine reference cannot go on"
    if step >= last:
        return f"{message}, with which the training ended: `invoke pull` brings it here"
    build = [] if settings.build == Path("build") else ["--build", str(settings.build)]
    kept = words(settings.runner, lambda name, option: "train" in option.tasks and name not in REPLACED)
    command = ["invoke", "train", "--checkpoint", str(path), "--cycles", str(last - step), *build, *kept]
    return f"{message}: `{shlex.join(command)}` goes on from it"
