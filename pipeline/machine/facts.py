"""What is known of a machine that trains, whichever kind it is: device.json of a results folder."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import read_record, write_record

FILE_NAME = "device.json"


@dataclass(frozen=True)
class MachineFacts:
    """What a machine says of itself; empty or None where it does not tell.

    Attributes:
      model: as its maker calls it.
      system: the operating system with its version, `Android 14 (API 34)`.
      abi: what it executes, `arm64-v8a`.
      processor: as its maker calls it.
      cores: how many it has, those that sleep too.
      memory_bytes: RAM in all.
      serial: what adb calls it; empty for this machine.
    """

    model: str = ""
    system: str = ""
    abi: str = ""
    processor: str = ""
    cores: int | None = None
    memory_bytes: int | None = None
    serial: str = ""


def write_facts(folder: Path, facts: MachineFacts) -> None:
    """Writes device.json.

    Raises:
      PipelineError: the folder cannot be written to.
    """
    write_record(folder / FILE_NAME, facts)


def read_facts(folder: Path) -> MachineFacts | None:
    """Reads device.json; None where there is none.

    Raises:
      FormatError: it is damaged.
    """
    return read_record(folder / FILE_NAME, MachineFacts)


def facts_of_this_machine(root: Path = Path("/")) -> MachineFacts:
    """This machine, as its kernel describes it.

    Args:
      root: where its /proc, /sys and /etc are.
    """
    return MachineFacts(
        model=_text(root / "sys/class/dmi/id/product_name").strip(),
        system=value_of(_text(root / "etc/os-release"), "PRETTY_NAME", "=").strip('"') or platform.system(),
        abi=platform.machine(),
        processor=value_of(_text(root / "proc/cpuinfo"), "model name"),
        cores=os.cpu_count(),
        memory_bytes=memory_of(_text(root / "proc/meminfo")),
    )


def value_of(text: str, name: str, separator: str = ":") -> str:
    """The value of the first line `name: value`; empty where there is none."""
    pairs = (line.partition(separator) for line in text.splitlines())
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def memory_of(meminfo: str) -> int | None:
    """Bytes of RAM, which /proc/meminfo counts in KiB."""
    words = value_of(meminfo, "MemTotal").split()
    # No machine has more digits of it.
    return int(words[0]) * 1024 if words and words[0].isascii() and words[0].isdigit() and len(words[0]) < 15 else None


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace")
    return ""
