"""docs/faults.md: every fault that was tried and what it cost, written by the tests that try them.

A test that has seen a fault pass says so with the fixture `tried`. With WRITE_FAULTS=1 in the environment the rows of
the tests that passed are written; without it one test compares the file's rows with the faults that are declared here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.invoking import ROOT

FILE = ROOT / "docs" / "faults.md"
VARIABLE = "WRITE_FAULTS"
RESUME = "`invoke run --resume`"

HEAD = f"""# What was done to it, and what it cost

Each row is a fault that a test does to a real process, file or device, the emulated one of x86-64. Of a run the test
then compares the bytes of the final parameters and the steps in the metrics with those of a training that nothing
happened to: they are equal, each step is there once, and nothing half-written stays. Of a build it looks that the next
one is whole. *Lost* is what had to be computed again. A row is that of the last run of its test in

```sh
{VARIABLE}=1 pytest tests/faults tests/test_x86.py
```

The clock of the emulated device is this machine's: set back it is on x86, where the training's beginning and its files
lie in the future. That the host waits 15 minutes for a device which it follows is 3 s in the test of a longer absence.
With no `--save-every` a checkpoint is saved every 10 s, and that much is lost at most.

| fault | stage | target | lost | what goes on |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Fault:
    """What was done, in which stage of which target, and the command that went on."""

    what: str
    stage: str
    target: str
    goes_on: str


# Takes a fault's name in `FAULTS` and what was lost.
Tried = Callable[[str, str], None]

FAULTS: Mapping[str, Fault] = {
    "x86 host building": Fault("`invoke package` killed (SIGKILL)", "building", "x86", "the same command"),
    "x86 disk building": Fault("disk full", "building", "x86", "room, the same command"),
    "x86 two": Fault("two `invoke` in one build folder", "any", "x86", "by itself: the second one waits"),
    "x86 runner": Fault("runner killed (SIGKILL)", "training", "x86", RESUME),
    "x86 host training": Fault("`invoke run` killed (SIGKILL)", "training", "x86", RESUME),
    "x86 host evaluating": Fault("`invoke run` killed (SIGKILL)", "the last evaluation", "x86", RESUME),
    "x86 host other": Fault(
        "`invoke train` killed, then `invoke run` with other options", "training", "x86", "`invoke run --resume RUN`"
    ),
    "x86 disk training": Fault("disk full", "training", "x86", f"room, {RESUME}"),
    "x86 disk results": Fault("disk full", "results", "x86", f"room, {RESUME}"),
    "x86 checkpoint": Fault("bits flipped in the newest checkpoint", "going on", "x86", RESUME),
    "x86 line": Fault("last line of metrics half written", "going on", "x86", RESUME),
    "x86 clock": Fault("clock set back ten years", "going on", "x86", RESUME),
    "x86 stamp": Fault("stamps of stages and of checked files damaged", "going on", "x86", RESUME),
    "x86 package": Fault("bits flipped in a file of the package", "going on", "x86", f"`invoke package`, {RESUME}"),
    "device runner": Fault("runner killed (SIGKILL), 3 times at random", "training", "device", RESUME),
    "device job": Fault("whole job killed, as Android does for memory", "training", "device", RESUME),
    "device reboot": Fault("device restarted", "training", "device", RESUME),
    "device server pushing": Fault("adb server killed", "pushing", "device", "by itself"),
    "device server training": Fault("adb server killed", "training", "device", "by itself"),
    "device server pulling": Fault("adb server killed", "pulling", "device", "by itself"),
    "device adbd pushing": Fault("adbd killed", "pushing", "device", "by itself"),
    "device adbd training": Fault("adbd killed", "training", "device", "by itself"),
    "device adbd pulling": Fault("adbd killed", "pulling", "device", "by itself"),
    "device cable pushing": Fault("cable pulled for 5 s", "pushing", "device", "by itself"),
    "device cable training": Fault("cable pulled for 5 s", "training", "device", "by itself"),
    "device cable pulling": Fault("cable pulled for 5 s", "pulling", "device", "by itself"),
    "device away": Fault(
        "cable pulled for longer than the host waits", "training", "device", f"`invoke attach`, {RESUME}"
    ),
    "device host pushing": Fault("`invoke run` killed (SIGKILL)", "pushing", "device", "the same `invoke run`"),
    "device host training": Fault("`invoke train` killed (SIGKILL)", "training", "device", RESUME),
    "device host pulling": Fault("`invoke run` killed (SIGKILL)", "pulling", "device", RESUME),
    "device host other": Fault(
        "`invoke train` killed, device ends alone, `invoke run` with other options", "training", "device", "by itself"
    ),
    "device two hosts": Fault("`invoke run` of another host", "training", "device", "by itself; the other is told"),
    "device disk pushing": Fault("disk full", "pushing", "device", "room, `invoke run`"),
    "device disk training": Fault("disk full", "training", "device", f"room, {RESUME}"),
    "device checkpoint": Fault("bits flipped in the newest checkpoint", "going on", "device", RESUME),
    "device package": Fault("bits flipped in a file of the package", "going on", "device", RESUME),
}


def cells(line: str) -> list[str]:
    """The cells of a row of a table in Markdown."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def written() -> dict[Fault, str]:
    """What the file says was lost by each fault."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    rows = [cells(line) for line in lines if line.startswith("| ")][1:]
    return {Fault(what, stage, target, goes_on): lost for what, stage, target, lost, goes_on in rows}


def write(seen: Mapping[str, str]) -> None:
    """Writes the rows of the faults that were seen now, and those of the file that are still declared."""
    losses = written() | {FAULTS[name]: lost for name, lost in seen.items()}
    rows = [
        f"| {fault.what} | {fault.stage} | {fault.target} | {losses[fault]} | {fault.goes_on} |\n"
        for fault in FAULTS.values()
        if fault in losses
    ]
    FILE.write_text(HEAD + "".join(rows))
