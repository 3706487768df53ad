"""A package for the emulated x86-64 device, and what its tests share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.emulator.device import EmulatedDevice
from tests.invoking import Invoked, invoke

CYCLES = 60
# What reaches into all that numpy and the C library compute beside the runtime: random numbers, cosines.
TRAINING = ("--cycles", str(CYCLES), "--augment", "crop", "--schedule", "cosine", "--save-every", "20")
ROOT = "/data/local/tmp/train-on-device/package-x86-device"


@dataclass(frozen=True)
class Packaged:
    """A package of LeNet and the sample in a build folder, and the device that it is for."""

    device: EmulatedDevice
    build: Path

    @property
    def env(self) -> dict[str, str]:
        """What leads to the device's adb server, and names the device to what takes it from there."""
        return self.device.env

    @property
    def package(self) -> Path:
        """The package."""
        return self.build / "package-x86-device"

    def invoke(self, task: str, *words: str | Path, device: EmulatedDevice | None = None) -> Invoked:
        """Runs a task with the device as its target, or with another one at its adb server."""
        folders = ("--build", self.build, *(("--runs", self.build / "runs") if task in ("run", "pull") else ()))
        named = ("--target", "x86", "--serial", (device or self.device).serial)
        return invoke(task, *named, *words, *folders, env=self.env)


def nothing(done: int, total: int) -> None:
    """Takes progress and does nothing."""
