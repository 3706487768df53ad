"""An adb device that never accepts the key of the host: adbd's side of the handshake, and nothing after it.

`python unauthorized.py PORT`. The protocol is that of AOSP's packages/modules/adb/protocol.txt: a message is a header
of six little-endian words (command, two arguments, length and sum of the data, command inverted) and its data.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading

HEADER = struct.Struct("<6I")
CONNECT = int.from_bytes(b"CNXN", "little")
AUTHENTICATE = int.from_bytes(b"AUTH", "little")
TOKEN, SIGNATURE = 1, 2
TOKEN_BYTES = 20


def main(port: int) -> None:
    """Answers until it is killed."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client,), daemon=True).start()


def _serve(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError, EOFError):
        while True:
            command, argument, _, length, _, _ = HEADER.unpack(_receive(client, HEADER.size))
            _receive(client, length)
            # No signature fits; the public key that comes after the last one waits for a person who never answers.
            if command == CONNECT or (command == AUTHENTICATE and argument == SIGNATURE):
                token = os.urandom(TOKEN_BYTES)
                header = HEADER.pack(AUTHENTICATE, TOKEN, 0, len(token), sum(token), AUTHENTICATE ^ 0xFFFFFFFF)
                client.sendall(header + token)


def _receive(client: socket.socket, size_bytes: int) -> bytes:
    received = b""
    while len(received) < size_bytes:
        piece = client.recv(size_bytes - len(received))
        if not piece:
            raise EOFError
        received += piece
    return received


if __name__ == "__main__":
    main(int(sys.argv[1]))
