"""The page that teaches a package's frozen backbone its user's own classes: served alone, until it is interrupted."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from device_runtime.formats.manifest import OUTPUT
from pipeline.errors import TargetError
from pipeline.packing.runner import TEACHING_PAGE
from pipeline.progress import note
from pipeline.targets.web.browser import opened
from pipeline.targets.web.receiving import Output
from pipeline.targets.web.server import serving
from pipeline.targets.web.session import Session


def teach(package: Path, serial: str | None) -> None:
    """Serves the page to a browser here, or on the device of that serial, until Ctrl-C.

    Raises:
      TargetError: the package is missing, or has no such page.
    """
    if not (package / TEACHING_PAGE).is_file():
        raise TargetError(
            f"{package} has no {TEACHING_PAGE}: run `invoke package --target web --model transfer --data FOLDER` "
            "first, with a folder of as many classes as you want to teach at most"
        )
    with (
        suppress(KeyboardInterrupt),
        serving(package, Session(), Output(package / OUTPUT)) as site,
        opened(f"{site.address}{TEACHING_PAGE}", site.server_port, serial),
    ):
        note("Ctrl-C ends it: what was taught stays in the browser")
        threading.Event().wait()
