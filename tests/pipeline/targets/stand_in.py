"""A device that is a folder of this machine: its commands run under this machine's plain sh."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from device_runtime.formats.manifest import FILE_NAME, Manifest, describe, write_manifest
from pipeline.targets.adb.adb import MOST_ANSWERED, Adb, ConnectionLost, Result
from pipeline.targets.adb.shell import CHUNK, OnOutput, Stdin

Fault = Callable[[str], None]


class StandIn(Adb):
    """Takes the place of an `Adb`; `before` and `after` see each command and may raise what the connection would."""

    def __init__(self, before: Fault = lambda command: None, after: Fault = lambda command: None) -> None:
        self.serial = "stand-in"
        self.sent_bytes = 0
        self._v2 = True
        self.before = before
        self.after = after
        self.reconnections = 0

    def execute(
        self,
        command: str,
        *,
        stdin: Stdin = Stdin(),  # noqa: B008 - frozen
        on_stdout: OnOutput | None = None,
        timeout_s: float = 60,
        live: bool = False,
        most_bytes: int = MOST_ANSWERED,
    ) -> Result:
        """See `Adb`."""
        self.before(command)
        collected = bytearray()
        with subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
        ) as process:
            assert process.stdin and process.stdout and process.stderr
            with process.stdin:
                for chunk in self._counted(stdin):
                    process.stdin.write(chunk)
            while data := process.stdout.read1(CHUNK):  # type: ignore[attr-defined]
                (on_stdout or collected.extend)(data)
            stderr = process.stderr.read()
        self.after(command)
        return Result(process.returncode, bytes(collected), stderr)

    def reconnect(self, timeout_s: float) -> None:
        """See `Adb`."""
        self.reconnections += 1


def lose(times: int, word: str) -> Fault:
    """A fault that loses the connection at the first `times` commands that contain `word`."""
    left = [times]

    def fault(command: str) -> None:
        if word in command and left[0]:
            left[0] -= 1
            raise ConnectionLost(f"stand-in went away during `{word}`")

    return fault


def make_package(folder: Path, files: dict[str, str | bytes]) -> Path:
    """A package of these files; those named *.sh can be executed."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    (folder / FILE_NAME).unlink(missing_ok=True)
    write_manifest(folder, Manifest("arm64", "lenet", describe(folder), {}))
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
