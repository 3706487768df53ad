"""What adb and a device print becomes records and named errors: recorded text."""

from __future__ import annotations

import struct
import time

import pytest

from pipeline.errors import TargetError
from pipeline.packing.abi import ARM64, X86_64
from pipeline.targets.adb.parse import (
    Address,
    Listed,
    OutputFile,
    Packets,
    abi_of,
    address_of,
    choose_device,
    failed_digests,
    free_bytes,
    is_on_network,
    parse_devices,
    parse_output_files,
    server_address,
)

PHONE = Listed("R58M123ABC", "device")
BOARD = Listed("192.168.1.7:5555", "device")
NO_PERMISSIONS = (
    "no permissions (missing udev rules? user is in the plugdev group); "
    "see [http://developer.android.com/tools/device.html]"
)


def test_devices_with_windows_line_ends() -> None:
    assert parse_devices("R58M123ABC\tdevice\r\n192.168.1.7:5555\toffline\r\n") == [
        PHONE,
        Listed("192.168.1.7:5555", "offline"),
    ]


def test_a_state_of_several_words_is_whole() -> None:
    assert parse_devices(f"R58M123ABC\t{NO_PERMISSIONS}\n") == [Listed("R58M123ABC", NO_PERMISSIONS)]


def test_a_serial_with_a_space_is_whole() -> None:
    found = parse_devices("adb-R58M123ABC-XyZ (2)._adb-tls-connect._tcp\tdevice\n\tdevice\nno tab\n")
    assert found == [Listed("adb-R58M123ABC-XyZ (2)._adb-tls-connect._tcp", "device")]
    assert choose_device(found, found[0].serial) == found[0].serial


def test_the_only_device_needs_no_serial() -> None:
    assert choose_device([PHONE], None) == "R58M123ABC"


def test_the_serial_chooses() -> None:
    assert choose_device([PHONE, BOARD], BOARD.serial) == BOARD.serial


@pytest.mark.parametrize(
    ("devices", "serial", "message"),
    [
        ([], None, "adb sees no device: connect one .* `invoke emulator.start` in a checkout starts one"),
        ([PHONE, BOARD], None, "choose one with --serial: R58M123ABC"),
        ([PHONE], "other", "adb sees no device 'other'"),
        ([Listed("a", "offline")], None, "a is offline"),
        ([Listed("a", "unauthorized")], None, "confirm the key"),
        ([Listed("a", "recovery")], "a", "a is recovery"),
        ([Listed("a", NO_PERMISSIONS)], None, r"a may not be opened by this user \(no permissions .*add a udev rule"),
    ],
)
def test_a_device_that_cannot_be_used(devices: list[Listed], serial: str | None, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        choose_device(devices, serial)


ABIS_SAID = {
    "arm64-v8a,arm64-v8a\n": ARM64,
    "aarch64\n": ARM64,
    "arm64-v8a,\r\n": ARM64,
    # A phone that prefers programs of 32 bits.
    "armeabi-v7a,arm64-v8a\n": ARM64,
    # An emulator that translates apps of arm64.
    "x86_64,x86_64,arm64-v8a\n": X86_64,
    "x86,x86_64\n": X86_64,
    "x86_64\n": X86_64,
}


@pytest.mark.parametrize("said", ABIS_SAID)
def test_the_abi_is_the_first_of_64_bits(said: str) -> None:
    assert abi_of("serial", said) == abi_of("serial", said, ABIS_SAID[said]) == ABIS_SAID[said]


@pytest.mark.parametrize("said", ["armeabi-v7a,\n", "riscv64\n", ""])
def test_an_abi_without_a_package_is_refused_whatever_is_wanted(said: str) -> None:
    for wanted in (None, ARM64, X86_64):
        with pytest.raises(TargetError, match=r"^serial is .*, not arm64-v8a or x86_64: no package runs there$"):
            abi_of("serial", said, wanted)


def test_a_device_of_the_other_abi_is_told_with_the_options_that_it_takes() -> None:
    with pytest.raises(TargetError, match=r"^R58 is arm64-v8a, not x86_64: give --target arm64$"):
        abi_of("R58", "arm64-v8a,arm64-v8a\n", X86_64)
    with pytest.raises(TargetError, match=r"is x86_64, not arm64-v8a: give --target x86 --serial emulator-5554$"):
        abi_of("emulator-5554", "x86_64,x86_64,arm64-v8a\n", ARM64)


ANDROID_DF = """Filesystem     1K-blocks     Used Available Use% Mounted on
/dev/block/dm-5 111616860 66846616  44639172  60% /data/user/0
"""
LONG_NAME_DF = """Filesystem           1K-blocks    Used Available Use% Mounted on
/dev/block/bootdevice/by-name/userdata
                      25313608 8837224  16459884  35% /data
"""


@pytest.mark.parametrize(("text", "kib"), [(ANDROID_DF, 44639172), (LONG_NAME_DF, 16459884)])
def test_free_space(text: str, kib: int) -> None:
    assert free_bytes(text) == kib * 1024


def test_no_free_space_in_what_df_says() -> None:
    for text in ("df: /data: No such file or directory", "", "\n", "a ² ³ ¹", f"1 2 {'9' * 5000}"):
        with pytest.raises(TargetError, match="its free space is unknown"):
            free_bytes(text)


def test_failed_digests() -> None:
    text = "a/b.so: OK\nmodel/model.json: FAILED\nsha256sum: train.sh: No such file or directory\ntrain.sh: FAILED\n"
    assert set(failed_digests(text)) == {"model/model.json", "train.sh"}
    assert failed_digests("a: b/c: FAILED open or read\nd: Permission denied\n") == ["a: b/c", "d"]


def test_a_line_of_colons_takes_no_time() -> None:
    started = time.monotonic()
    assert failed_digests(": " * 500_000) == []
    assert time.monotonic() - started < 1


def packet(kind: int, content: bytes) -> bytes:
    return struct.pack("<BI", kind, len(content)) + content


def test_packets_are_whole_however_they_arrive() -> None:
    stream = packet(1, b"hello") + packet(2, b"") + packet(3, b"\x07")
    for size in range(1, len(stream) + 1):
        packets = Packets()
        found = [p for i in range(0, len(stream), size) for p in packets.feed(stream[i : i + size])]
        assert found == [(1, b"hello"), (2, b""), (3, b"\x07")]


def test_a_packet_longer_than_any_is_refused_before_it_is_collected() -> None:
    with pytest.raises(ValueError, match="a packet of 4,294,967,295 bytes"):
        Packets().feed(struct.pack("<BI", 1, 2**32 - 1))


def test_many_empty_packets_take_no_time() -> None:
    started = time.monotonic()
    assert len(Packets().feed(packet(1, b"") * 200_000)) == 200_000
    assert time.monotonic() - started < 2


def test_output_files_keep_blanks_in_their_names() -> None:
    digests = "ab" * 32, "cd" * 32
    assert parse_output_files(f"{digests[0]} 12 metrics.jsonl\n{digests[1]} 0 a b\n") == [
        OutputFile("metrics.jsonl", 12, digests[0]),
        OutputFile("a b", 0, digests[1]),
    ]


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, Address("127.0.0.1", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "5038"}, Address("127.0.0.1", 5038)),
        ({"ANDROID_ADB_SERVER_HOST": "host", "ANDROID_ADB_SERVER_PORT": ""}, Address("host", 5037)),
        ({"ADB_SERVER_SOCKET": "tcp:host:6000", "ANDROID_ADB_SERVER_PORT": "5038"}, Address("host", 6000)),
        ({"ADB_SERVER_SOCKET": "tcp:6000"}, Address("127.0.0.1", 6000)),
    ],
)
def test_the_server_is_where_adbs_variables_say(environment: dict[str, str], address: Address) -> None:
    assert server_address(environment) == address


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ANDROID_ADB_SERVER_PORT": "adb"}, "ANDROID_ADB_SERVER_PORT='adb' is not a port number"),
        ({"ANDROID_ADB_SERVER_PORT": "65536"}, "is not a port number"),
        ({"ANDROID_ADB_SERVER_PORT": "0"}, "is not a port number"),
        ({"ANDROID_ADB_SERVER_PORT": "²"}, "is not a port number"),
        ({"ADB_SERVER_SOCKET": "tcp:host:" + "9" * 5000}, "is not of the form tcp:HOST:PORT"),
        ({"ADB_SERVER_SOCKET": "localfilesystem:/run/adb"}, "is not of the form tcp:HOST:PORT"),
        ({"ADB_SERVER_SOCKET": "tcp:host:port"}, "is not of the form tcp:HOST:PORT"),
    ],
)
def test_a_variable_that_is_no_address_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        server_address(environment)


@pytest.mark.parametrize(
    ("serial", "address"),
    [
        ("192.168.1.7:5555", Address("192.168.1.7", 5555)),
        ("[fe80::1]:5555", Address("fe80::1", 5555)),
        ("adb-3XB2 (2)._adb-tls-connect._tcp", None),
        ("adb-3XB2._adb._tcp.", None),
    ],
)
def test_serials_of_the_network(serial: str, address: Address | None) -> None:
    assert is_on_network(serial)
    assert address is None or address_of(serial) == address


@pytest.mark.parametrize("port", ["65536", "99999", "²", "x", ""])
def test_a_serial_without_a_port_is_an_address_where_nothing_listens(port: str) -> None:
    assert address_of(f"192.168.1.7:{port}").port == 0


@pytest.mark.parametrize("serial", ["R58M123ABC", "emulator-5554", "adb-3XB2", ""])
def test_serials_of_no_network(serial: str) -> None:
    assert not is_on_network(serial)
