"""Which machine --target and --serial mean."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.targets import target_name


@pytest.mark.parametrize(
    ("target", "serial", "name", "is_here", "named"),
    [
        ("x86", None, "x86", True, "--target x86"),
        ("x86", "emulator-5554", "x86-device", False, "--target x86 --serial emulator-5554"),
        ("arm64", None, "arm64", False, "--target arm64"),
        ("arm64", "R58", "arm64", False, "--target arm64 --serial R58"),
        ("web", None, "web", True, "--target web"),
        ("web", "R58", "web", True, "--target web --serial R58"),
    ],
)
def test_a_serial_makes_a_device_of_x86(
    target: str, serial: str | None, name: str, is_here: bool, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", "emulator-5556")
    settings = Settings(target, serial=serial)
    assert (settings.kind.name, settings.kind.is_here, settings.named) == (name, is_here, named)


def test_a_checkpoint_of_a_device_is_in_its_output_folder() -> None:
    kind = Settings("x86", serial="emulator-5554").kind
    assert kind.checkpoint("a.safetensors").endswith("/package-x86-device/output/a.safetensors")
    with pytest.raises(UsageError, match=r"give the name of a file in the device's .*/package-x86-device/output"):
        kind.checkpoint("a/b")


def test_an_unknown_target_is_refused_with_those_that_there_are() -> None:
    assert target_name("arm64") == "arm64"
    with pytest.raises(
        UsageError, match="unknown target 'device': give --target arm64 or --target web or --target x86"
    ):
        target_name("device")
