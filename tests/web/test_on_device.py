"""A device's browser trains: its page, its log and its files pass through adb alone.

The emulated device has no browser, so this machine's is led to the device's loopback, by adb too: whatever it asks for
goes to the device, and from there back to the program.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import adbutils
import pytest

from pipeline.machine.ports import free_port
from tests.emulator.device import EmulatedDevice
from tests.invoking import invoke, losses
from tests.web.chromium import chromium
from tests.web.running import running

CYCLES = ("--cycles", "30", "--threads", "1")


@pytest.mark.emulator
def test_a_run_in_the_browser_of_a_device_is_that_of_x86(
    build: Path, browser_here: str, x86_device: EmulatedDevice, tmp_path: Path
) -> None:
    server = {"ANDROID_ADB_SERVER_PORT": str(x86_device.adb_server_port)}
    device = adbutils.AdbClient("127.0.0.1", x86_device.adb_server_port).device(x86_device.serial)
    there, back = free_port(), ("--build", build, *CYCLES)
    words = ("run", "--target", "web", "--serial", x86_device.serial, *back, "--runs", tmp_path / "web")
    with (
        chromium(browser_here, f"--host-resolver-rules=MAP 127.0.0.1 127.0.0.1:{there}") as browser,
        running(tmp_path, *words, env=server) as task,
    ):
        address = task.address()
        device.forward(f"tcp:{there}", f"tcp:{urlsplit(address).port}")
        try:
            page = browser.open(address)
            page.wait_for("/results are on/.test(document.querySelector('#state')?.textContent)")
            run = task.ended()
        finally:
            device.forward_remove(f"tcp:{there}")
    assert run.code == 0, run.stderr
    assert f"{x86_device.serial} opened no browser (" in run.stderr
    assert device.reverse_list() == []
    on_x86 = invoke("run", *back, "--runs", tmp_path / "x86")
    assert losses(run.results) == pytest.approx(losses(on_x86.results), abs=1e-4)
    assert f'"serial": "{x86_device.serial}"' in (run.results / "device.json").read_text()
