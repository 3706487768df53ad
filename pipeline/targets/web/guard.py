"""Who may ask the server: its own page, by the name and the address that it was given.

The address has a random word as its first folder, so no other user of this machine can guess it. A request that names
another host, as of a name that was made to lead here, or comes from a page of another origin, is refused.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from pipeline.targets.web.receiving import Refused

# Whatever is in the page, it can ask nobody but this server.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Threads of WebAssembly share memory, which a browser gives to a page alone that nothing from elsewhere can be in.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MOST_MESSAGE_BYTES = 2**20
_SILENT_S = 60.0


class Guarded(Protocol):
    """A server that has a page.

    Attributes:
      origin: what begins every address of it.
      token: the word behind that.
      policy: what the page may load.
    """

    origin: str
    token: str
    policy: str


class GuardedHandler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: Any  # a Guarded
    protocol_version = "HTTP/1.1"
    timeout = _SILENT_S
    server_version = "train-on-device"
    sys_version = ""

    def do_GET(self) -> None:
        self._answered(self.get)

    def do_POST(self) -> None:
        self._answered(self.post)

    def do_PUT(self) -> None:
        self._answered(self.put)

    def do_DELETE(self) -> None:
        self._answered(self.delete)

    def get(self, path: str) -> None:
        """Answers a request, of which the path is what stands behind the word."""
        raise NotImplementedError

    def post(self, path: str) -> None:
        """As `get`."""
        raise NotImplementedError

    def put(self, path: str) -> None:
        """As `get`."""
        raise NotImplementedError

    def delete(self, path: str) -> None:
        """As `get`."""
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        """What is served is no news."""

    def end_headers(self) -> None:
        """Every answer has them, those to workers and modules, too."""
        for name, value in {**HEADERS, "Content-Security-Policy": self.server.policy}.items():
            self.send_header(name, value)
        super().end_headers()

    def _answered(self, answer: Callable[[str], None]) -> None:
        """Answers a request of the page itself; refuses any other before it is looked at."""
        try:
            path = self._checked_path()
            answer(path)
        except Refused as refused:
            # What of the request was not read would be taken for the next one.
            self.close_connection = True
            self.send(refused.status, "text/plain; charset=utf-8", f"{refused}\n".encode())
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _checked_path(self) -> str:
        """The path behind the word that no other knows."""
        server: Guarded = self.server
        if self.headers.get("Host") != server.origin.removeprefix("http://"):
            raise Refused(HTTPStatus.FORBIDDEN, "this is served under another name")
        origin = self.headers.get("Origin")
        if origin != server.origin and (origin is not None or self.command != "GET"):
            raise Refused(HTTPStatus.FORBIDDEN, "this is for its own page alone")
        parts = unquote(urlsplit(self.path).path).split("/", 2)
        if len(parts) < 3 or not secrets.compare_digest(parts[1].encode(), server.token.encode()):
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        return parts[2]

    def length(self) -> int:
        """How many bytes follow.

        Raises:
          Refused: it is not said.
        """
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "how long is it?")
        return int(length)

    def message(self) -> dict[str, Any]:
        """A message of the page.

        Raises:
          Refused: it is none.
        """
        length = self.length()
        if length > _MOST_MESSAGE_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "that is no message")
        try:
            message = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "that is no message")
        return message

    def send(self, status: HTTPStatus, kind: str = "", content: bytes = b"") -> None:
        """Sends a whole answer."""
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
