"""What a device says of itself: one question for all of it, and its answer as a record."""

from __future__ import annotations

import re

from pipeline.errors import in_line
from pipeline.machine.facts import MachineFacts, memory_of, value_of

# Android's properties; what is no Android has /etc/os-release and a device tree. Each answer on a line of its own name.
QUESTION = """p() { getprop "$1" 2>/dev/null; }
echo "manufacturer: $(p ro.product.manufacturer)"
echo "model: $(p ro.product.model)"
echo "android: $(p ro.build.version.release)"
echo "sdk: $(p ro.build.version.sdk)"
echo "abi: $(p ro.product.cpu.abi)"
echo "maker: $(p ro.soc.manufacturer)"
echo "soc: $(p ro.soc.model)"
echo "platform: $(p ro.board.platform)"
echo "machine: $(uname -m)"
echo "board: $(cat /proc/device-tree/model 2>/dev/null)"
echo "system: $(grep PRETTY_NAME= /etc/os-release 2>/dev/null)"
echo "possible: $(cat /sys/devices/system/cpu/possible 2>/dev/null)"
echo "cores: $(grep -c ^processor /proc/cpuinfo 2>/dev/null)"
grep MemTotal: /proc/meminfo 2>/dev/null || :
"""

# Characters of what a device says, in a table.
_LONGEST = 100

# `0-7`, or `0`; up to four digits each, as no kernel counts further.
_RANGE = re.compile(r"(?:(\d{1,4})-)?(\d{1,4})", re.ASCII)


def parse_facts(serial: str, text: str) -> MachineFacts:
    """Reads the answer to `QUESTION`; what a device does not tell stays empty."""
    lines = text.replace("\0", "").replace("\r", "")

    def told(name: str) -> str:
        return in_line(value_of(lines, name))[:_LONGEST]

    release, sdk = told("android"), told("sdk")
    linux = told("system").removeprefix("PRETTY_NAME=").strip("\"'")
    return MachineFacts(
        model=_named(told("manufacturer"), told("model")) or told("board"),
        system=f"Android {release}{f' (API {sdk})' if sdk else ''}" if release else linux,
        abi=told("abi") or told("machine"),
        processor=_named(told("maker"), told("soc")) or told("platform"),
        cores=_cores(told("possible"), told("cores")),
        memory_bytes=memory_of(lines),
        serial=in_line(serial),
    )


def _named(maker: str, model: str) -> str:
    """Maker and model, which many makers put into the model's name already."""
    return model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()


def _cores(possible: str, listed: str) -> int | None:
    """Of `0-7` eight; /proc/cpuinfo lists those alone that are awake."""
    if found := _RANGE.fullmatch(possible):
        first, last = int(found[1] or found[2]), int(found[2])
        # Where there is no range, the only core is 0.
        return last - first + 1 if last >= first else None
    return int(listed) if listed.isascii() and listed.isdigit() and 0 < len(listed) < 5 and int(listed) else None
