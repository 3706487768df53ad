"""The tasks of the checkout: those that are installed, and what it takes to work on the project."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_path

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from pipeline.cli import program
from pipeline.cli.tasks.declaring import one_line_errors

program.adopt()


@task(
    name="start",
    help={"android": "its version: 8, 10 or 14 (default)", "abi": "arm64-v8a (default) or x86_64 (for --target x86)"},
    auto_shortflags=False,
)
@one_line_errors()
def emulator_start(c: Context, android: str = "14", abi: str = "arm64-v8a") -> None:
    """Start an emulated device (Linux, root)."""
    from pipeline.targets.adb.emulated import Emulated, register
    from tests.emulator.android import read_abi, read_number
    from tests.emulator.device import Hardware, start

    device = start(hardware=Hardware(read_number(android), read_abi(abi)))
    register(device.name, Emulated(device.serial, device.adb_server_port))
    print(f"export ANDROID_ADB_SERVER_PORT={device.adb_server_port} ANDROID_SERIAL={device.serial}")


@task(name="stop")
@one_line_errors()
def emulator_stop(c: Context) -> None:
    """Stop the emulated device and its adb server."""
    from pipeline.targets.adb.emulated import forget
    from tests.emulator import device

    forget(device.DEFAULT_NAME)
    device.stop()


@task(name="status")
@one_line_errors()
def emulator_status(c: Context) -> None:
    """List the emulated devices that run."""
    from tests.emulator import device

    for running in device.status():
        what = f"Android {running.hardware.android} on {running.hardware.abi}"
        print(f"{running.name}: {what}, {running.serial}, adb server on port {running.adb_server_port}")


@task(help={"cases": "how many, over all readers", "seed": "where they begin"})
def fuzz(c: Context, cases: int = 200_000, seed: int = 1) -> None:
    """Give every reader of foreign files and answers damaged ones."""
    c.run(f"{sys.executable} -m tests.fuzz.campaign {cases} {seed}")


@task
@one_line_errors()
def options(c: Context) -> None:
    """Write docs/options.md from the declarations."""
    from pipeline.configuration.table import options_page

    Path("docs/options.md").write_text(options_page(), encoding="utf-8")


@task
@one_line_errors()
def pins(c: Context) -> None:
    """Record the newest versions of Debian's packages."""
    from pipeline.packing.pins import renew

    changed = renew()
    print("\n".join(f"replaced {line}" for line in changed) or "nothing changed")


@task
def lint(c: Context) -> None:
    """Run ruff, mypy, actionlint and shellcheck."""
    _run(c, *(f"{sys.executable} -m {command}" for command in ("ruff check .", "ruff format --check .", "mypy")))
    tools = get_path("scripts")
    _run(c, f"{tools}/actionlint -shellcheck {tools}/shellcheck")
    _run(c, f"{tools}/shellcheck --external-sources --source-path SCRIPTDIR {' '.join(_scripts())}")


@task
def docs(c: Context) -> None:
    """Build the documentation as a site in build/site."""
    # The theme's makers advertise their next one otherwise.
    _run(c, f"NO_MKDOCS_2_WARNING=1 {sys.executable} -m mkdocs build")


@task(lint, docs)
def check(c: Context) -> None:
    """Run what CI runs: the linters, the site, and all tests."""
    _run(c, f"{sys.executable} -m pytest -n auto --dist loadfile")


def _run(c: Context, *commands: str) -> None:
    for command in commands:
        c.run(command, echo=True, pty=sys.stdout.isatty())


def _scripts() -> Iterator[str]:
    """The shell scripts that are called; what they source is read with them."""
    for folder in (".ci", "packaging", "tests/emulator"):
        for path in sorted(Path(folder).iterdir()):
            if path.is_file() and re.match(rb"#!\S*/(ba)?sh\b", path.read_bytes()):
                yield str(path)


namespace = program.namespace(
    *(fuzz, options, pins, lint, docs, check), Collection("emulator", emulator_start, emulator_stop, emulator_status)
)
