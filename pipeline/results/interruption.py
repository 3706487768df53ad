"""A training on this machine that Ctrl-C ends: what is left of it, and the command that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device_runtime.formats.metrics import read_metrics
from pipeline.errors import Interrupted
from pipeline.settings import Settings


@contextmanager
def explained(settings: Settings, package: Path, script: str) -> Iterator[None]:
    """Around a script that runs with these settings: an interruption of train.sh is explained.

    Of another script nothing is left, and some targets go on alone.

    Raises:
      Interrupted: Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not settings.kind.is_here or script != "train.sh":
            raise
        raise Interrupted(_how_to_go_on(settings, package / "output")) from None


def _how_to_go_on(settings: Settings, output: Path) -> str:
    if settings.runner.engine == "reference":
        return "interrupted; --engine reference cannot go on from a checkpoint"
    saved = [record["step"] for record in read_metrics(output) if record["event"] == "checkpoint"]
    kept = f"the last checkpoint is of step {saved[-1]}" if saved else "no checkpoint was saved before"
    folders = {"--build": (settings.build, Path("build")), "--runs": (settings.runs, Path("runs"))}
    given = [word for name, (path, default) in folders.items() if path != default for word in (name, str(path))]
    given = [*([] if settings.named == Settings().named else settings.named.split()), *given]
    given += ["--tensorboard"] if settings.tensorboard else []
    return f"interrupted; {kept}: `{shlex.join(['invoke', 'run', '--resume', *given])}` goes on from there"
