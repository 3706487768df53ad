"""What a run in a browser needs of this machine: npm, which brings the runtime, and a browser."""

from __future__ import annotations

import shutil
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from pipeline.commands import run
from pipeline.doctor.finding import Finding, lacking, ok
from pipeline.errors import CommandError

_TIMEOUT_S = 30.0


def examine(runtime: Path) -> Iterator[Finding]:
    """Looks for both.

    Args:
      runtime: the runtime's folder, for which npm is not needed once it is there.
    """
    yield _npm(runtime)
    try:
        yield ok(f"a browser: {_name(webbrowser.get())}")
    except webbrowser.Error:
        yield lacking(
            "no browser is on this machine: the page's address is printed, and waited for",
            "apt install chromium, or name one by BROWSER; a phone's is opened with --serial",
            needed=False,
        )


def _npm(runtime: Path) -> Finding:
    if shutil.which("npm") is None:
        return lacking(
            "npm is not on this machine: it brings onnxruntime-web",
            "apt install nodejs npm",
            needed=not runtime.is_dir(),
        )
    try:
        return ok(f"npm {run(['npm', '--version'], timeout_s=_TIMEOUT_S).strip()}")
    except CommandError as error:
        return lacking(f"npm does not start: {str(error).splitlines()[-1]}", "install it again: apt install npm")


def _name(browser: webbrowser.BaseBrowser) -> str:
    return str(getattr(browser, "name", "") or type(browser).__name__)
