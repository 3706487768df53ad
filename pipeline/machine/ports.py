"""Ports of TCP: whether one is taken, and one that is not."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def listens(host: str, port: int) -> bool:
    """Whether anything takes connections there."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])
