"""What devices say of themselves, with recorded text."""

from __future__ import annotations

import pytest

from pipeline.machine.facts import MachineFacts
from pipeline.targets.adb.facts import parse_facts

PIXEL = """\
manufacturer: Google
model: Pixel 7
android: 14
sdk: 34
abi: arm64-v8a
maker: Google
soc: GS201
platform: gs201
machine: aarch64
board:
system:
possible: 0-7
cores: 8
MemTotal:        7734104 kB
"""
ANDROID_8 = """\
manufacturer: samsung
model: SAMSUNG-SM-G930A
android: 8.0.0
sdk: 26
abi: arm64-v8a
maker:
soc:
platform: msm8996
machine: aarch64
board:
system:
possible: 0-3
cores: 2
MemTotal:        3784492 kB
"""
BOARD = """\
manufacturer:
model:
android:
sdk:
abi:
maker:
soc:
platform:
machine: aarch64
board: Raspberry Pi 4 Model B Rev 1.4\0
system: PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
possible:
cores: 4
MemTotal:        3885396 kB
"""


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            PIXEL,
            MachineFacts("Google Pixel 7", "Android 14 (API 34)", "arm64-v8a", "Google GS201", 8, 7734104 * 1024, "A1"),
        ),
        (
            ANDROID_8,
            MachineFacts("SAMSUNG-SM-G930A", "Android 8.0.0 (API 26)", "arm64-v8a", "msm8996", 4, 3784492 * 1024, "A1"),
        ),
        (
            BOARD,
            MachineFacts(
                "Raspberry Pi 4 Model B Rev 1.4",
                "Debian GNU/Linux 12 (bookworm)",
                "aarch64",
                "",
                4,
                3885396 * 1024,
                "A1",
            ),
        ),
        ("", MachineFacts(serial="A1")),
        ("possible: 3-0\nMemTotal: much kB\ncores: 0\n", MachineFacts(serial="A1")),
    ],
    ids=["pixel", "android-8", "board", "nothing", "nonsense"],
)
def test_a_device_is_told_by_what_it_prints(text: str, facts: MachineFacts) -> None:
    assert parse_facts("A1", text) == facts
    assert parse_facts("A1", text.replace("\n", "\r\n")) == facts


def test_what_a_device_says_stays_one_printable_line() -> None:
    facts = parse_facts("A1", f"model: \x1b[31mred{'x' * 1000}\n")
    assert facts.model.isprintable()
    assert len(facts.model) == 100
