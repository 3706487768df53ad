"""Where a reader types: a folder with the programs that the documentation names."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.device import EmulatedDevice
from tests.invoking import ROOT, TIMEOUT_S

_PROGRAMS: dict[str, list[str | Path]] = {
    "python": [sys.executable],
    "invoke": [sys.executable, "-m", "invoke", "--search-root", ROOT],
    "train-on-device": [sys.executable, "-c", "from pipeline.cli.program import main; main()"],
}


@dataclass(frozen=True)
class Terminal:
    """A reader's terminal.

    Attributes:
      folder: where commands are typed; relative files of the documentation are here.
      programs: holds what is typed without a path.
      device: the phone that is plugged in.
    """

    folder: Path
    programs: Path
    device: EmulatedDevice

    def type(self, command: str) -> tuple[int, str]:
        """Runs a line; returns its exit code and all that it printed."""
        environment = {
            **os.environ,
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "ANDROID_ADB_SERVER_PORT": str(self.device.adb_server_port),
            "ANDROID_SERIAL": self.device.serial,
        }
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout


def open_terminal(folder: Path, build: Path, device: EmulatedDevice) -> Terminal:
    """A terminal in a new folder, whose `build` is one that others have used before."""
    folder.mkdir()
    (folder / "build").symlink_to(build)
    programs = folder.with_name(f"{folder.name}-programs")
    programs.mkdir()
    for name, start in {**_PROGRAMS, "adb": device.image.adb}.items():
        _write_program(programs / name, start)
    return Terminal(folder, programs, device)


def _write_program(path: Path, start: Sequence[str | Path]) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, start))} "$@"\n')
    path.chmod(0o755)
