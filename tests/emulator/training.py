"""A training on the emulated device without the evaluations around it: each would be a start of its interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.emulator.device import EmulatedDevice
from tests.invoking import invoke, losses


def losses_on(
    device: EmulatedDevice, build: Path, made_of: Sequence[str | Path], training: Sequence[str]
) -> list[float]:
    """Packages for an arm64 device and trains there; the loss of each step.

    Args:
      device: an emulated one.
      build: takes what is made.
      made_of: the options of the package.
      training: those of the training.
    """
    for words in (("package", *made_of), ("train", *training)):
        done = invoke(*words, "--target", "arm64", "--build", build, env=device.env)
        assert done.code == 0, done.stderr
    return losses(device.data / "train-on-device" / "package-arm64" / "output")
