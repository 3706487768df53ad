"""Opens the page: in the user's browser, or in a phone's, which reaches this machine's loopback through adb."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.progress import note
from pipeline.targets.adb.adb import Adb, quote

_ACTION = "android.intent.action.VIEW"


def open_here(address: str) -> None:
    """Opens the page in the user's browser, or the one that BROWSER in the environment names, and says where it is."""
    if not _can_open():
        note(f"open {address} in a browser of this machine: it is waited for")
        return
    note(f"the page is {address}")
    # It may be one that runs until it is closed.
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


@contextmanager
def opened(address: str, port: int, serial: str | None) -> Iterator[None]:
    """Opens the page here, or on the device of that serial; its way to this machine is there while the block runs.

    Raises:
      TargetError: there is no such device, or its adbd leads no port back here.
    """
    if serial is None:
        open_here(address)
        yield
        return
    from pipeline.targets.adb.choosing import choose

    with opened_on(choose(serial), address, port):
        yield


@contextmanager
def opened_on(device: Adb, address: str, port: int) -> Iterator[None]:
    """Opens the page in the device's browser; its way to this machine is there while the block runs.

    Raises:
      TargetError: the device went away, or its adbd leads no port back here.
    """
    with device.reversed_port(port):
        started = device.execute(f"am start -a {_ACTION} -d {quote(address)}")
        # `am` of old Androids ends with 0 whatever happens.
        if started.code or "Error" in started.complaint:
            note(f"{device.serial} opened no browser ({started.complaint}): open {address} there; it is waited for")
        else:
            note(f"the browser of {device.serial} was asked for {address}")
        yield


def _can_open() -> bool:
    """Whether there is a screen to open a browser on; without one, Python would find those of a terminal."""
    screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(screen or os.environ.get("BROWSER"))
