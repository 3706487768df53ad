"""A training on this machine that Ctrl-C ends: what is left of it, and the command that goes on."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import Interrupted
from pipeline.results.report import read_metrics
from pipeline.settings import Settings

# What `invoke train` is told in another way or reads from the checkpoint, does not take, and does anyway.
REPLACED = ("-f", "--cycles", "--epochs", "--seed")
LEFT_OUT = ("--no-cache",)
DEFAULTS = (("--threads", "1"),)


@contextmanager
def explained(settings: Settings, package: Path, script: str, options: Sequence[str]) -> Iterator[None]:
    """Around a script that runs with these options: an interruption of train.sh is explained.

    Of another script nothing is left, and on a device the training goes on.

    Raises:
      Interrupted: Ctrl-C was pressed.
    """
    began = time.time()
    try:
        yield
    except KeyboardInterrupt:
        if settings.target != "x86" or script != "train.sh":
            raise
        raise Interrupted(_how_to_go_on(settings, package / "output", options, began)) from None


def _how_to_go_on(settings: Settings, output: Path, options: Sequence[str], began: float) -> str:
    records = read_metrics(output)
    saved = [(output / record["file"], record["step"]) for record in records if record["event"] == "checkpoint"]
    # An earlier training may have left its record.
    saved = [(path, step) for path, step in saved if path.exists() and path.stat().st_mtime >= began]
    if not saved:
        return "interrupted before a checkpoint was saved: --save-every N saves one every N steps"
    path, step = saved[-1]
    last = next(int(record["last"]) for record in reversed(records) if record["event"] == "start")
    message = f"interrupted; the last checkpoint is {path}"
    if "reference" in options:
        return f"{message}, from which --engine reference cannot go on"
    if step >= last:
        return f"{message}, with which the training ended: `invoke pull` brings it here"
    build = [] if settings.build == Path("build") else ["--build", str(settings.build)]
    words = ["invoke", "train", "--checkpoint", str(path), "--cycles", str(last - step), *build, *_kept(options)]
    return f"{message}: `{shlex.join(words)}` goes on from it"


def _kept(options: Sequence[str]) -> list[str]:
    """The options of the runner that `invoke train` is to have again; their names are the same."""
    kept: list[str] = []
    words = iter(options)
    for word in words:
        if word in LEFT_OUT:
            continue
        # An option without a value.
        pair = (word,) if word == "--verbose" else (word, next(words))
        if word not in REPLACED and pair not in DEFAULTS:
            kept += pair
    return kept
