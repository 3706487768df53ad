"""`invoke doctor`: everything a run needs, and what mends what is missing.

It is called where something is broken: nothing that is imported before it looks needs more than the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pipeline.doctor import browsers, debian_packages, host, packages
from pipeline.doctor.finding import Finding, Section, State, lacking
from pipeline.doctor.project import read_project
from pipeline.doctor.table import print_section
from pipeline.errors import TargetError, as_typed
from pipeline.packing.abi import ABIS, ARM64, Abi
from pipeline.settings import Settings
from pipeline.targets import WEB


def doctor(settings: Settings) -> int:
    """Prints what is found, as it is found; returns 1 if a run with these settings could not start.

    Raises:
      PipelineError: what the project requires is nowhere to be read.
    """
    sections = []
    for section in examine(settings):
        sections.append(section)
        if not settings.json:
            print_section(section)
    if settings.json:
        print(json.dumps([asdict(section) for section in sections], indent=1))
    wrong = sum(finding.state is State.FIX for section in sections for finding in section.findings)
    if not settings.json:
        run = f"`invoke run {settings.named}`"
        print(as_typed(f"{run} can start" if not wrong else f"{wrong} to mend before {run}"))
    return 1 if wrong else 0


def examine(settings: Settings) -> Iterator[Section]:
    """Looks at one matter after the other."""
    project = read_project()
    if settings.target == WEB:
        yield Section("Python", (host.interpreter(project), *packages.examine(project)))
        yield Section("this machine", (*browsers.examine(settings.build / "runtime-web"), *_room(settings)))
        return
    meant = next(abi for abi in ABIS if abi.target == settings.target)
    on_device = settings.serial is not None or not meant.needs_serial
    # Beside a run on this machine there is told what one on a phone would need.
    abi = meant if on_device else ARM64
    yield Section("Python", (host.interpreter(project), *packages.examine(project)))
    runtime = settings.build / f"runtime-{abi.name if on_device else settings.target}"
    yield Section("this machine", tuple(_machine(settings, runtime, on_device=on_device)))
    yield Section("Debian's packages", tuple(debian_packages.examine(abi.debian, needed=on_device)))
    yield Section("devices", tuple(_devices(settings, abi, needed=on_device)))


def _machine(settings: Settings, runtime: Path, *, on_device: bool) -> Iterator[Finding]:
    yield host.processor(needed=not on_device)
    yield host.pip_works(runtime)
    yield from _room(settings)


def _room(settings: Settings) -> Iterator[Finding]:
    yield host.room(settings.build, host.BUILD_BYTES, "--build")
    yield host.room(settings.runs, host.RUNS_BYTES, "--runs")


def _devices(settings: Settings, abi: Abi, *, needed: bool) -> list[Finding]:
    try:
        from pipeline.doctor import adb
    except TargetError as error:
        return [lacking(str(error), needed=needed)]
    except Exception as error:  # adbutils may be missing, or damaged in any way
        said = f"no device was looked for: adbutils cannot be imported ({type(error).__name__}: {error})"
        return [lacking(said, "mend that package first", needed=needed)]
    return adb.examine(settings, abi, needed=needed)
