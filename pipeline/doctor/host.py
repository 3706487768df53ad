"""This machine: interpreter, processor, pip, the folders that a run writes into."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from pipeline.commands import run
from pipeline.doctor.finding import Finding, lacking, ok
from pipeline.doctor.packages import fits
from pipeline.doctor.project import Project
from pipeline.errors import CommandError, PipelineError
from pipeline.files import check_writable
from pipeline.packing.runtime import REQUIREMENTS

PIP_TIMEOUT_S = 60.0
# Of LeNet and its sample runtime, package, dataset and graphs take 170 MB on x86 and as much again on arm64, where
# Debian's packages lie there unpacked for a while; with a frozen backbone and photographs it is more.
BUILD_BYTES = 10**9
# Checkpoints, the exported model and the report of a few runs.
RUNS_BYTES = 10**8


def interpreter(project: Project) -> Finding:
    """Whether the project takes this Python."""
    version = platform.python_version()
    said = f"Python {version} ({sys.executable})"
    if fits(f"python{project.python}", version):
        return ok(said)
    return lacking(
        f"{said}: {project.python} is needed",
        "install such a Python, then `python3.12 -m venv .venv` and install into that environment",
    )


def processor(*, needed: bool) -> Finding:
    """Whether this machine itself may be the target."""
    said = f"{platform.system()} on {platform.machine()}"
    if platform.machine() in ("x86_64", "AMD64"):
        return ok(said)
    return lacking(
        f"{said}: not x86-64, so no run trains here",
        "give --target arm64 and connect a device",
        needed=needed,
    )


def pip_works(runtime: Path) -> Finding:
    """Whether pip can bring the runtime's pinned wheels; none of them is installed.

    Args:
      runtime: the runtime's folder, of which no wheel is missing once it is there.
    """
    # Asked for pip by way of all finders, that of setuptools takes this process for pip's own from then on.
    if PathFinder.find_spec("pip") is None:
        ensures = PathFinder.find_spec("ensurepip") is not None
        mend = f"{sys.executable} -m ensurepip" if ensures else "apt install python3-pip python3-venv"
        return lacking("pip is not installed", mend)
    asked = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    quick = ["--disable-pip-version-check", "--retries", "0", "--timeout", "10"]
    try:
        run([sys.executable, "-m", "pip", "--quiet", *asked, *quick, "-r", REQUIREMENTS], timeout_s=PIP_TIMEOUT_S)
    except CommandError as error:
        return lacking(
            f"pip cannot fetch the wheels of the runtime: {str(error).splitlines()[-1]}",
            "see that this machine is online, or name a mirror by PIP_INDEX_URL"
            + (f"; {runtime} is there, and does while what it is made of stays" if runtime.is_dir() else ""),
            needed=not runtime.is_dir(),
        )
    return ok("pip can fetch the wheels of the runtime")


def room(folder: Path, needed_bytes: int, option: str) -> Finding:
    """Whether a folder, which may not exist yet, can be written into and has space.

    Args:
      folder: what an option names.
      needed_bytes: what a run writes there, if nothing is there yet.
      option: says another one.
    """
    try:
        check_writable(folder)
    except PipelineError as error:
        return lacking(f"{option}: {error}", f"give another folder: {option} FOLDER")
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:,.1f} GB free for {option} {folder}"
    if free >= needed_bytes:
        return ok(said)
    return lacking(f"{said}: {needed_bytes / 1e9:,.1f} GB are needed", f"make room, or give another: {option} FOLDER")
