"""Debian's packages, of which runtimes for devices are made: the programs that bring them, and the mirror."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pipeline.commands import run
from pipeline.doctor.finding import Finding, lacking, ok
from pipeline.errors import CommandError, PackageError
from pipeline.packing import debian

PROGRAMS = {"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg"}
# Fetches one file as apt does, through its proxies and with its rules.
APT_HELPER = Path("/usr/lib/apt/apt-helper")
TIMEOUT_S = 30.0


def examine(architecture: str, *, needed: bool) -> list[Finding]:
    """Whether packages of Debian's can be had for an architecture, as Debian names it."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = sorted({PROGRAMS[program] for program in missing})
        mend = f"apt install {' '.join(packages)}, on Debian or Ubuntu; elsewhere work in a container of one"
        return [lacking(f"{', '.join(missing)} not on PATH", mend, needed=needed)]
    programs = ok(", ".join(PROGRAMS))
    try:
        mirror = debian.mirror()
    except (CommandError, PackageError) as error:
        mend = f"export {debian.MIRROR_VARIABLE}=<address of a Debian mirror>"
        return [programs, lacking(_last_line(error), mend, needed=needed)]
    return [programs, _offers(mirror, architecture, needed=needed)]


def _offers(mirror: str, architecture: str, *, needed: bool) -> Finding:
    said = f"{mirror}: {debian.SUITE} for {architecture}"
    if not APT_HELPER.exists():
        return ok(f"{said}, not tried")
    address = f"{mirror.rstrip('/')}/dists/{debian.SUITE}/main/binary-{architecture}/Release"
    with tempfile.TemporaryDirectory() as folder:
        quick = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "APT::Sandbox::User="]
        try:
            run([APT_HELPER, *quick, "download-file", address, Path(folder) / "Release"], timeout_s=TIMEOUT_S)
        except CommandError as error:
            complaints = [line for line in str(error).splitlines() if line.startswith("E: ")]
            reason = complaints[0].removeprefix("E: ") if complaints else _last_line(error)
            mend = f"see that this machine is online, or export {debian.MIRROR_VARIABLE}=<address of a whole mirror>"
            return lacking(f"{said} cannot be had: {reason}", mend, needed=needed)
    return ok(said)


def _last_line(error: Exception) -> str:
    return str(error).splitlines()[-1]
