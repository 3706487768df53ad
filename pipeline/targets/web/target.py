"""A browser as the target: the package's page trains, here or on a phone; what it writes comes back as it is written.

The output folder is here, so all that ends with the page is what it computed since its last checkpoint.
"""

from __future__ import annotations

import atexit
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from device_runtime.formats.manifest import RUN_FOLDERS
from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.metrics import read_metrics, trained_file
from device_runtime.formats.option import long_form
from device_runtime.formats.options import LOWERED
from device_runtime.formats.paths import check_name
from pipeline.errors import TargetError, UsageError
from pipeline.files import read_record, sha256_of, write_record
from pipeline.machine.facts import MachineFacts
from pipeline.packing.runner import teaching_page, web_runner
from pipeline.packing.runtime_web import build_web
from pipeline.progress import OnProgress
from pipeline.targets import WEB, Kind, OnLine
from pipeline.targets.output_folder import OutputHere
from pipeline.targets.web.browser import opened
from pipeline.targets.web.receiving import Output
from pipeline.targets.web.server import Site, serving
from pipeline.targets.web.session import AWAY_S, Job, Session, Visitor

# What the page said of its browser, for who pulls later.
_VISITOR = Path(RUN_FOLDERS[-1]) / "browser.json"
# The host's, which shows on a terminal how far a training is: the page has its own.
_PROGRESS = long_form("progress")
_RESUME = long_form("resume")


class WebTarget(OutputHere):
    """The page of a package, in the browser of this machine or of a device."""

    name = WEB

    def __init__(self, package: Path, serial: str | None) -> None:
        super().__init__(package)
        self._serial = serial
        self._session = Session()
        self._open: Site | None = None

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """See `Target`: nothing travels before the page asks for it. It may be another browser than before."""
        (self._package / _VISITOR).unlink(missing_ok=True)
        return 0

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        """See `Target`."""
        job = self._job(script, arguments)
        self._visitor()
        self._session.begin(job)
        code = self._session.follow(on_line)
        if code is None:
            raise TargetError(
                f"the page was closed, or its browser crashed, and did not come back within {AWAY_S:g} s: "
                f"`invoke run --target {WEB} --resume` goes on from the last checkpoint"
            )
        return code

    def facts(self) -> MachineFacts:
        """See `Target`."""
        visitor = read_record(self._package / _VISITOR, Visitor) or Visitor("", None)
        if not visitor.system and not (self._output / METRICS).is_file():
            # A run begins: what trained before would have left its record.
            visitor = self._visitor()
        return MachineFacts(system=visitor.system, cores=visitor.cores, serial=self._serial or "")

    def _visitor(self) -> Visitor:
        """Waits for a page, and notes what its browser is."""
        self._opened()
        visitor = self._session.visitor()
        write_record(self._package / _VISITOR, visitor)
        return visitor

    def _job(self, script: str, arguments: Sequence[str]) -> Job:
        words = [word for word in arguments if word != _PROGRESS]
        needed: list[Path] = []
        if words[:1] == ["-f"]:
            needed = [self._output / words[1]]
            words[0] = long_form("file")
        elif script == "eval.sh":
            needed = [self._trained()]
            words = [long_form("file"), needed[0].name, *words]
        elif _RESUME in words:
            needed = sorted(path for path in self._output.glob("[!.]*") if path.is_file())
        if script != "train.sh":
            words += [long_form("cycles"), "0"]
        files = [(path.name, sha256_of(path)) for path in needed if path.is_file()]
        return Job(uuid.uuid4().hex, script, words, files, clear=script == "train.sh")

    def _trained(self) -> Path:
        """The checkpoint that the last training ended with."""
        records = read_metrics(self._output)
        trained = self._output / (trained_file(records) or "none")
        if not trained.is_file():
            raise TargetError(f"{self._output} holds no trained checkpoint: run `invoke train --target {WEB}` first")
        return trained

    def _opened(self) -> Site:
        """The server of the page, which was opened once; both end with the program."""
        if self._open is None:
            ending = ExitStack()
            atexit.register(ending.close)
            site = ending.enter_context(serving(self._package, self._session, Output(self._output)))
            ending.enter_context(opened(site.address, site.server_port, self._serial))
            ending.callback(self._session.end_all)
            self._open = site
        return self._open


def _checkpoint(text: str) -> str:
    """The name of a file in the package's output folder, from where the page takes it."""
    try:
        check_name(text)
    except ValueError as error:
        raise UsageError(f"--checkpoint {text}: give the name of a file in the package's output folder") from error
    return text


def kind(target: str) -> Kind:
    """A browser, here or on the device that `--serial` names."""
    return Kind(
        target,
        WebTarget,
        build_web,
        _checkpoint,
        is_here=True,
        engines=(LOWERED,),
        runner=web_runner,
        teaching=teaching_page,
    )
