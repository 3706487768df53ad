"""A loopback port of this machine that leads into the network namespace of the emulated device.

`python relay.py PORT DEVICE_PID`: adbd listens on every address it has, so it gets a network of its own, which ends
here. Ending this process cuts the device's cable, stopping it (SIGSTOP) leaves connections that never answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import threading
from pathlib import Path

ADBD_PORT = 5555
CLONE_NEWNET = 0x40000000
PIECE_BYTES = 1 << 18


def main(port: int, device_pid: int) -> None:
    """Relays until it is killed."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        # The listener stays in the namespace it was made in; what is opened from here on is the device's.
        _enter_network_of(device_pid)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client,), daemon=True).start()


def _enter_network_of(pid: int) -> None:
    namespace = os.open(Path("/proc") / str(pid) / "ns" / "net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network of the device")
    os.close(namespace)


def _serve(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ADBD_PORT)) as device:
        for end in (client, device):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_copy, args=(device, client), daemon=True)
        back.start()
        _copy(client, device)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            sink.sendall(piece)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
