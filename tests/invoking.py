"""Tasks as a user calls them: a process, its exit code, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 900


@dataclass(frozen=True)
class Invoked:
    """How a task ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def accuracies(self) -> list[float]:
        """The numbers of the lines `accuracy = …`, in order."""
        return [float(line.split(" = ")[1]) for line in self.stdout.splitlines() if line.startswith("accuracy = ")]

    @property
    def results(self) -> Path:
        """The folder that `invoke run` named in its last line."""
        return Path(self.stdout.splitlines()[-1].removeprefix("results: "))


def losses(results: Path) -> list[float]:
    """The loss of each step of a training, from the folder that its metrics.jsonl is in."""
    records = [json.loads(line) for line in (results / "metrics.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if record["event"] == "step"]


def invoke(*words: str | Path, env: dict[str, str] | None = None) -> Invoked:
    """Runs `invoke WORDS` in the project's folder."""
    return _run(["-m", "invoke", *map(str, words)], ROOT, env or {})


@contextmanager
def started(
    *words: str | Path, env: Mapping[str, str] | None = None, stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """`invoke WORDS` while the block does what it does; it has to have ended then, or is killed."""
    command = [sys.executable, "-m", "invoke", *map(str, words)]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def train_on_device(
    *words: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, stdout: IO[str] | None = None
) -> Invoked:
    """Runs `train-on-device WORDS` as it is installed, of these sources; what goes to `stdout` is not returned."""
    program = "import sys; sys.argv[0] = 'train-on-device'; from pipeline.cli.program import main; main()"
    return _run(["-c", program, *map(str, words)], cwd, {"PYTHONPATH": str(ROOT), **(env or {})}, stdout)


def _run(words: list[str], cwd: Path, env: dict[str, str], stdout: IO[str] | None = None) -> Invoked:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, **env},
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Invoked(done.returncode, done.stdout or "", done.stderr)
