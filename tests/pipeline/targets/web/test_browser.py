"""The page reaches a device's browser through adb: its way is there while the training runs, and gone after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import TargetError
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.parse import Address
from pipeline.targets.web.browser import open_here, opened_on
from pipeline.targets.web.receiving import Output
from pipeline.targets.web.server import Site, serving
from pipeline.targets.web.session import Session
from tests.emulator.device import EmulatedDevice
from tests.pipeline.targets.web.test_server import package

__all__ = ["package"]

URL = "http://127.0.0.1:8377/word/"


def asked_there(adb: Adb, site: Site) -> str:
    """What the device is answered on its own loopback, as its browser would be."""
    host = site.origin.removeprefix("http://")
    request = f"GET /{site.token}/ HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n"
    return adb.execute(f"{{ printf '{request}'; sleep 1; }} | toybox nc 127.0.0.1 {site.server_port}").text


@pytest.mark.emulator
def test_a_device_reaches_the_page_on_its_own_loopback_while_it_is_open(
    x86_device: EmulatedDevice, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adb = Adb(x86_device.serial, Address("127.0.0.1", x86_device.adb_server_port))
    with serving(package, Session(), Output(package / "output"), port=0) as site:
        with opened_on(adb, site.address, site.server_port):
            answer = asked_there(adb, site)
            assert answer.startswith("HTTP/1.1 200 OK")
            assert answer.endswith("index.html")
        assert asked_there(adb, site) == ""
    # The emulated device has no `am`, as it has no browser: its user is told what to open.
    said = capsys.readouterr().err
    assert "opened no browser (E: /bin/sh: am: inaccessible or not found)" in said
    assert f"open {site.address} there" in said


@pytest.mark.emulator
def test_a_port_that_the_device_has_in_use_is_told(x86_device: EmulatedDevice) -> None:
    adb = Adb(x86_device.serial, Address("127.0.0.1", x86_device.adb_server_port))
    with pytest.raises(TargetError, match="reverse"), adb.reversed_port(-1):
        pass


def test_without_a_screen_the_address_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    open_here(URL)
    assert f"open {URL} in a browser of this machine: it is waited for" in capsys.readouterr().err
