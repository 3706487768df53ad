"""Debian's chromium, headless, driven through its own pipe: pages are opened, asked, loaded again and looked at."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.bench.web.chromium import OPTIONS as UNSEEN
from pipeline.bench.web.chromium import PROGRAMS

OPTIONS = (*UNSEEN, "--remote-debugging-pipe")
# As long as a test waits for what a page does, at most.
WAIT_S = 120.0
# What a person who sees nothing, or has a narrow phone, would meet.
_FAULTS = """(() => {
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push('the page scrolls sideways');
  for (const one of document.querySelectorAll('button, a, input, video, progress, svg, canvas, pre')) {
    const named = one.getAttribute('aria-label') || one.labels?.[0]?.textContent.trim() || one.textContent.trim();
    if (!named) faults.push(`${one.tagName} ${one.id} has no name`);
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > innerWidth || box.left < 0)) faults.push(`${one.tagName} ${one.id} is outside`);
  }
  return faults;
})()"""
# Below them stand those that a shell numbers.
_FIRST_FREE = 20


def wait_until(found: Callable[[], Any]) -> Any:
    """Waits until something is found, and returns it."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if what := found():
            return what
        time.sleep(0.05)
    raise TimeoutError


class Refused(Exception):
    """The browser cannot do what it was asked, as a page has nothing to ask while it is loaded."""


class Chromium:
    """A browser that runs."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = count(1)
        self._read = b""

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the DevTools protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != number:
            pass
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], WAIT_S)
            assert ready, "the browser does not answer"
            more = os.read(self._answers, 2**20)
            assert more, "the browser has ended"
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def download_into(self, folder: Path) -> None:
        """Has it save what a page offers, and ask nobody."""
        self.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def open(self, address: str) -> Page:
        """Opens a page."""
        target = self.ask("Target.createTarget", url=address)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session)


@dataclass(frozen=True)
class Page:
    """A page in it."""

    browser: Chromium
    target: str
    session: str

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is worth in the page."""
        result = self.browser.ask(
            "Runtime.evaluate", self.session, expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Waits until an expression is true, and returns it."""

        def found() -> Any:
            with suppress(Refused):
                return self.value(expression)

        try:
            return wait_until(found)
        except TimeoutError:
            said = self.value("document.body.innerText")
            raise AssertionError(f"{expression} does not come true; the page says: {said}") from None

    def click(self, selector: str) -> None:
        """Clicks an element."""
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Chooses files in a file picker."""
        expression = f"document.querySelector({json.dumps(selector)})"
        found = self.browser.ask("Runtime.evaluate", self.session, expression=expression)["result"]
        chosen = [str(file) for file in files]
        self.browser.ask("DOM.setFileInputFiles", self.session, files=chosen, objectId=found["objectId"])

    def faults(self) -> list[str]:
        """What is outside of its window, or has no name, as the page is now."""
        found: list[str] = self.value(_FAULTS)
        return found

    def reload(self) -> None:
        """Loads it again."""
        self.browser.ask("Page.reload", self.session)

    def close(self) -> None:
        """Closes it, as a user does."""
        self.browser.ask("Target.closeTarget", targetId=self.target)

    def resize(self, width: int, height: int = 900) -> None:
        """Makes the window so many pixels wide, as of a phone where that is little."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.ask("Emulation.setDeviceMetricsOverride", self.session, **size)

    def dark(self, *, on: bool) -> None:
        """Has the page believe that its user likes it dark."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.browser.ask("Emulation.setEmulatedMedia", self.session, features=[feature])

    def photograph(self, into: Path) -> None:
        """Writes a picture of all of it."""
        taken = self.browser.ask("Page.captureScreenshot", self.session, format="png", captureBeyondViewport=True)
        into.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def chromium(program: str, *options: str) -> Iterator[Chromium]:
    """A browser with an empty profile, while the block runs; options beside `OPTIONS` may be given."""
    (their_end, commands), (answers, our_end) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, _FIRST_FREE) for end in (their_end, our_end)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # It reads commands from 3, and answers in 4.
        started = f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}'
        words = ["bash", "-c", started, "bash", program, *OPTIONS, *options, f"--user-data-dir={profile}"]
        process = subprocess.Popen(words, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (their_end, our_end, *theirs):
            os.close(end)
        browser = Chromium(commands, answers)
        try:
            yield browser
        finally:
            browser.ask("Browser.close")
            process.wait(30)
            os.close(commands)
            os.close(answers)


def program() -> str | None:
    """The browser of this machine, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)
