"""Runs scripts of a package on its target, and reads what they measured."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_runtime.formats.metrics import read_metrics
from pipeline.errors import RunFailed
from pipeline.running.scripts import run_script
from pipeline.targets import Runs, Target

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """What the packaged runner recorded: each step's duration, the whole run's, and its resident size.

    `base_memory_bytes` is what it had before it read the model.
    """

    step_s: tuple[float, ...]
    seconds: float
    peak_memory_bytes: int
    base_memory_bytes: int


def train(target: Target, options: Sequence[str]) -> Training:
    """Trains with the runner of the package, as a user would.

    Raises:
      RunFailed: it failed.
    """
    target.clear_output()
    run_script(target, "train.sh", options, lambda line: None)
    with tempfile.TemporaryDirectory() as folder:
        target.pull(Path(folder))
        records = read_metrics(Path(folder))
    # Nobody's results: the next training would have them brought home.
    target.clear_output()
    steps = tuple(record["seconds"] for record in records if record["event"] == "step")
    end = records[-1]
    return Training(steps, end["seconds"], end["peak_memory_bytes"], end["base_memory_bytes"])


def answers_of(target: Runs, options: Sequence[str]) -> list[Answer]:
    """What bench.sh prints on the target.

    Raises:
      RunFailed: it failed, or printed nothing.
    """
    lines: list[str] = []
    run_script(target, "bench.sh", options, lines.append)
    # The runtime may warn of what it does not find on a device.
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    if not answers:
        raise RunFailed(f"bench.sh on {target.name} measured nothing: {' '.join(lines[-1:])}")
    return answers
