"""How a device is now and what runs left on it: one question for all of it, and its answer as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from device_runtime.formats.battery import Power, parse_dumpsys
from device_runtime.formats.manifest import OUTPUT, PULLED
from device_runtime.formats.metrics import FILE_NAME as METRICS
from pipeline.errors import TargetError, in_line
from pipeline.targets.adb.parse import free_bytes

BASE = PurePosixPath("/data/local/tmp")
# All that runs leave on a device is in this folder; `AdbTarget.check` is ended before it has removed its probe.
FOLDER = "train-on-device"
PROBES = ".probe-*"

# What is sent to a device and run there calls these; Android 8 has them all.
TOOLS = (
    *("cat", "chmod", "df", "dirname", "du", "find", "flock", "grep", "head", "mkdir", "mv", "printf", "rm", "rmdir"),
    *("sed", "setsid", "sha256sum", "sleep", "stat", "tail", "tar", "uname", "wc"),
)

# In a package's folder: whether its output has the record of a training that nobody pulled as it is.
UNPULLED = (
    f'[ -s {OUTPUT}/{METRICS} ] && [ "$(cat {OUTPUT}/{PULLED} 2>/dev/null)" != "$(stat -c %s {OUTPUT}/{METRICS})" ]'
)

# Each answer on lines of its own name; Android's own words come last.
QUESTION = f"""cd {BASE} && df -k {BASE} | tail -n 1 | while read -r line; do echo "disk: $line"; done
echo "used: $(du -sk {FOLDER} 2>/dev/null)"
for tool in {" ".join(TOOLS)}; do command -v $tool >/dev/null || echo "lacks: $tool"; done
for package in {FOLDER}/*; do
    [ -f "$package/job.sh" ] && echo "job: $package $(sh "$package/job.sh" status 2>/dev/null)"
    (cd "$package" 2>/dev/null && {UNPULLED}) && echo "unpulled: $package"
done
dumpsys battery 2>/dev/null || :
"""

# Characters of what a device says, in a table.
_LONGEST = 100


@dataclass(frozen=True)
class Job:
    """What ran last of a package on the device.

    Attributes:
      package: its folder below `FOLDER`.
      status: `running SCRIPT`, `ended CODE`, `died` or `none`.
    """

    package: str
    status: str

    @property
    def runs(self) -> bool:
        """Whether it runs now."""
        return self.status.startswith("running")


@dataclass(frozen=True)
class DeviceState:
    """How a device is; None where it does not tell.

    Attributes:
      free_bytes: where packages go.
      used_bytes: by what runs left there.
      power: its battery.
      lacks: tools of `TOOLS` that it does not have.
      jobs: of each package that is there, the last one.
      unpulled: packages with results that nobody pulled.
    """

    free_bytes: int | None
    used_bytes: int
    power: Power | None
    lacks: tuple[str, ...]
    jobs: tuple[Job, ...]
    unpulled: tuple[str, ...]


def parse_state(text: str) -> DeviceState:
    """Reads the answer to `QUESTION`."""
    own, heading, battery = text.replace("\r", "").partition("Current Battery Service state:")
    lines = own.split("\n")
    used = next(_said(lines, "used"), "").split()
    jobs = (_shown(line).partition(" ") for line in _said(lines, "job"))
    return DeviceState(
        _free(next(_said(lines, "disk"), "")),
        int(used[0]) * 1024 if used and used[0].isascii() and used[0].isdigit() and len(used[0]) < 15 else 0,
        parse_dumpsys(heading + battery),
        tuple(tool for tool in _said(lines, "lacks") if tool in TOOLS),
        tuple(Job(_short(package), status) for package, _, status in jobs),
        tuple(_short(_shown(package)) for package in _said(lines, "unpulled")),
    )


def _said(lines: list[str], name: str) -> Iterator[str]:
    return (line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: "))


def _shown(line: str) -> str:
    return in_line(line)[:_LONGEST]


def _short(package: str) -> str:
    return package.removeprefix(f"{FOLDER}/")


def _free(line: str) -> int | None:
    try:
        return free_bytes(line)
    except TargetError:
        return None
