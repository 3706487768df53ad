"""Serves a package's folder to a browser: on loopback, to whom knows the address, and to its own page alone."""

from __future__ import annotations

import json
import secrets
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import read_manifest
from pipeline.errors import in_line
from pipeline.targets.web.guard import POLICY, GuardedHandler
from pipeline.targets.web.receiving import Output, Refused
from pipeline.targets.web.session import Session, Visitor

ADDRESS = "127.0.0.1"
# The same one each time where it is free: what a browser keeps, it keeps by port.
PORT = 8377
START = "index.html"
# The program's own paths, beside the package's files.
HOST = "host/"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".bmp": "image/bmp",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_MOST_TEXT = 200
# So often it is looked whether a page that waits is still there.
_LOOK_S = 0.25
_CHUNK = 2**20


class Site(ThreadingHTTPServer):
    """The server of one package.

    Attributes:
      origin: what begins every address of it.
      address: of its page.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int, session: Session, output: Output, policy: str) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.session, self.output, self.policy = session, output, policy
        self.origin = f"http://{ADDRESS}:{self.server_port}"
        self.token = secrets.token_urlsafe(12)
        self.address = f"{self.origin}/{self.token}/"
        self.files = _files_of(folder.resolve())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is nothing to tell."""


@contextmanager
def serving(folder: Path, session: Session, output: Output, port: int = PORT, policy: str = POLICY) -> Iterator[Site]:
    """Serves a package while the block runs.

    Args:
      folder: the package; of it what its manifest names.
      session: what the page asks for, and takes what it tells.
      output: takes the files that it hands back.
      port: taken where it is free.
      policy: what the page may load, as Content-Security-Policy.
    """
    try:
        site = Site(folder, port, session, output, policy)
    except OSError:  # another program, or run, has it
        site = Site(folder, 0, session, output, policy)
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        site.server_close()


def _files_of(folder: Path) -> Mapping[str, tuple[Path, str]]:
    """By path, the package's files and their digests; none that a link leads out of the folder for."""
    manifest = read_manifest(folder / MANIFEST)
    named = [(MANIFEST, ""), *((file.path, file.sha256) for file in manifest.files)]
    found = {name: (folder / name, digest) for name, digest in named}
    return {name: at for name, at in found.items() if at[0].resolve().is_relative_to(folder)}


def _plain(line: str) -> str:
    """A line of the log, which has tabs."""
    return "\t".join(in_line(part) for part in line.split("\t"))


class _Handler(GuardedHandler):
    """One connection of the browser."""

    server: Site

    def get(self, path: str) -> None:
        """See `GuardedHandler`."""
        if path == f"{HOST}events":
            self._events()
        elif path.startswith(f"{HOST}output/"):
            self._file(self.server.output.path(path.removeprefix(f"{HOST}output/")), "")
        else:
            file, digest = self.server.files.get(path or START, (None, ""))
            if file is None:
                raise Refused(HTTPStatus.NOT_FOUND, "the package has no such file")
            self._file(file, digest)

    def post(self, path: str) -> None:
        """See `GuardedHandler`."""
        message = self.message()
        session, job = self.server.session, str(message.get("job"))
        if path == f"{HOST}lines":
            lines = message.get("lines")
            taken = session.say(job, [_plain(str(line)) for line in lines] if isinstance(lines, list) else [])
        elif path == f"{HOST}end":
            taken = session.end(job, 1 if message.get("code") else 0)
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        if not taken:
            raise Refused(HTTPStatus.CONFLICT, "this job is over")
        self.send(HTTPStatus.NO_CONTENT)

    def put(self, path: str) -> None:
        """See `GuardedHandler`."""
        name = path.removeprefix(f"{HOST}output/")
        self.server.output.receive(name, self.length(), self.headers.get("X-SHA256", ""), self.rfile)
        self.send(HTTPStatus.NO_CONTENT)

    def delete(self, path: str) -> None:
        """See `GuardedHandler`."""
        self.server.output.remove(path.removeprefix(f"{HOST}output/"))
        self.send(HTTPStatus.NO_CONTENT)

    def _file(self, path: Path, digest: str) -> None:
        if digest and self.headers.get("If-None-Match") == f'"{digest}"':
            self.send(HTTPStatus.NOT_MODIFIED)
            return
        try:
            size, file = path.stat().st_size, path.open("rb")
        except OSError as error:
            raise Refused(HTTPStatus.NOT_FOUND, f"{path.name}: {error.strerror}") from error
        with file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", TYPES.get(path.suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(size))
            # Asked about each time: a package that was made again has other files at the same place.
            self.send_header("Cache-Control", "no-cache")
            if digest:
                self.send_header("ETag", f'"{digest}"')
            self.end_headers()
            left = size
            while left and (chunk := file.read(min(left, _CHUNK))):
                self.wfile.write(chunk)
                left -= len(chunk)
        # One that became shorter meanwhile.
        self.close_connection = self.close_connection or bool(left)

    def _events(self) -> None:
        """Tells the page of jobs as they come, for as long as it is there."""
        asked = parse_qs(urlsplit(self.path).query)
        cores = asked.get("cores", [""])[0]
        system = in_line(asked.get("system", [""])[0][:_MOST_TEXT])
        visitor = Visitor(system, int(cores) if cores.isascii() and cores.isdigit() and len(cores) < 5 else None)
        if not self.server.session.enter(visitor):
            raise Refused(HTTPStatus.CONFLICT, "another page has this training: close it, or use it")
        self.close_connection = True
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            known = ""
            while not self._has_left():
                job, over = self.server.session.news(known, _LOOK_S)
                if job:
                    self._tell({"job": asdict(job)})
                    known = job.id
                if over:
                    self._tell({"over": True})
                    return
        finally:
            self.server.session.leave()

    def _tell(self, message: Mapping[str, Any]) -> None:
        self.wfile.write(f"{json.dumps(message)}\n".encode())

    def _has_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        # It has nothing to say here.
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
