"""The server of a package's page: what it serves, what it takes, and whom it refuses."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.manifest import Manifest, describe, write_manifest
from pipeline.targets.web import receiving
from pipeline.targets.web.receiving import Output
from pipeline.targets.web.server import Site, serving
from pipeline.targets.web.session import Job, Session

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "lenet_trained_300.safetensors"
JOB = Job("1234", "train.sh", ("--cycles", "3"), (), clear=True)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a file of each kind, a link that leads out, and what a run wrote."""
    folder = tmp_path / "package-web"
    (folder / "runtime").mkdir(parents=True)
    (folder / "output").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    for name in ("index.html", "runtime/a.mjs", "runtime/a.wasm", "runtime/a.js", "runtime/a.css", "runtime/a.onnx"):
        (folder / name).write_text(name)
    (folder / "runtime/link.txt").symlink_to(tmp_path / "secret.txt")
    write_manifest(folder, Manifest("web", "lenet", describe(folder), {}))
    (folder / "unnamed.txt").write_text("of no package")
    (folder / "output/metrics.jsonl").write_text("{}\n")
    return folder


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def site(package: Path, session: Session) -> Iterator[Site]:
    with serving(package, session, Output(package / "output"), port=0) as served:
        yield served


def asked(
    site: Site, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A request as the page makes it, but for the headers that are given; the path is below the page's folder."""
    connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
    own = {} if method == "GET" else {"Origin": site.origin}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/{site.token}/{path}", body, {**own, **named})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), read


def put(site: Site, name: str, content: bytes = CONTENT, digest: str = DIGEST, **headers: str) -> int:
    """Hands back a file of the output folder."""
    return asked(site, "PUT", f"host/output/{name}", content, X_SHA256=digest, **headers)[0]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("runtime/a.mjs", "text/javascript; charset=utf-8"),
        ("runtime/a.js", "text/javascript; charset=utf-8"),
        ("runtime/a.css", "text/css; charset=utf-8"),
        ("runtime/a.wasm", "application/wasm"),
        ("runtime/a.onnx", "application/octet-stream"),
        ("manifest.json", "application/json"),
    ],
)
def test_files_have_their_types_and_a_page_has_shared_memory(path: str, kind: str, site: Site) -> None:
    status, headers, content = asked(site, "GET", path)
    assert (status, headers["Content-Type"]) == (HTTPStatus.OK, kind)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert len(content) == int(headers["Content-Length"])


def test_a_file_that_the_browser_has_does_not_travel_again(site: Site) -> None:
    _, headers, _ = asked(site, "GET", "runtime/a.wasm")
    assert asked(site, "GET", "runtime/a.wasm", If_None_Match=headers["ETag"])[0] == HTTPStatus.NOT_MODIFIED


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "runtime/../../secret.txt",
        "runtime/link.txt",
        "unnamed.txt",
        "output/metrics.jsonl",
        "host/output/../manifest.json",
        "host/output/.pulled",
        "host/output/nothing_trained_3.safetensors",
        "/etc/passwd",
        "host/nothing",
    ],
)
def test_what_is_no_file_of_the_package_is_not_there(path: str, site: Site) -> None:
    status, _, content = asked(site, "GET", path)
    assert status == HTTPStatus.NOT_FOUND
    assert b"secret" not in content.replace(b"secret.txt", b"")


def test_it_listens_on_loopback_alone(site: Site) -> None:
    assert site.socket.getsockname()[0] == "127.0.0.1"
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        # Another address of this machine's own.
        other.connect(("127.0.0.2", site.server_port))


@pytest.mark.parametrize("host", ["localhost.evil.example", "evil.example:80", "127.0.0.1"])
def test_a_name_that_was_made_to_lead_here_is_refused(host: str, site: Site) -> None:
    assert asked(site, "GET", "", Host=host)[0] == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_pages_of_other_origins_are_refused(origin: str, site: Site, session: Session, package: Path) -> None:
    session.begin(JOB)
    message = json.dumps({"job": JOB.id, "code": 0}).encode()
    for method, path, body in (
        ("GET", "", None),
        ("POST", "host/end", message),
        ("PUT", f"host/output/{NAME}", CONTENT),
        ("DELETE", "host/output/metrics.jsonl", None),
    ):
        assert asked(site, method, path, body, Origin=origin, X_SHA256=DIGEST)[0] == HTTPStatus.FORBIDDEN
    assert [path.name for path in (package / "output").iterdir()] == ["metrics.jsonl"]


def test_who_says_no_origin_may_read_and_nothing_else(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
    connection.request("POST", f"/{site.token}/host/end", b"{}")
    assert connection.getresponse().status == HTTPStatus.FORBIDDEN
    connection.close()


def test_who_does_not_know_the_address_gets_nothing(site: Site) -> None:
    for path in ("/", "/index.html", "/wrong/", f"/{site.token[:-1]}/index.html", f"/{site.token}"):
        connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
        connection.request("GET", path)
        assert connection.getresponse().status == HTTPStatus.NOT_FOUND
        connection.close()


def test_a_file_arrives_whole_and_can_be_read_and_removed(site: Site, package: Path) -> None:
    assert put(site, NAME) == HTTPStatus.NO_CONTENT
    assert (package / "output" / NAME).read_bytes() == CONTENT
    assert asked(site, "GET", f"host/output/{NAME}")[2] == CONTENT
    assert asked(site, "DELETE", f"host/output/{NAME}")[0] == HTTPStatus.NO_CONTENT
    assert not (package / "output" / NAME).exists()


def test_what_arrives_other_than_it_was_sent_leaves_what_was_there(site: Site, package: Path) -> None:
    assert put(site, NAME) == HTTPStatus.NO_CONTENT
    assert put(site, NAME, b"w3ights") == HTTPStatus.UNPROCESSABLE_ENTITY
    with socket.create_connection(("127.0.0.1", site.server_port), timeout=20) as cut:
        head = f"PUT /{site.token}/host/output/{NAME} HTTP/1.1\r\nHost: 127.0.0.1:{site.server_port}\r\n"
        cut.sendall(f"{head}Origin: {site.origin}\r\nX-SHA256: {DIGEST}\r\nContent-Length: 7\r\n\r\nwei".encode())
        cut.shutdown(socket.SHUT_WR)
        assert b" 422 " in cut.recv(100)
    assert {path.name for path in (package / "output").iterdir()} == {NAME, "metrics.jsonl"}
    assert (package / "output" / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "name",
    [
        "../manifest.json",
        "..%2fmanifest.json",
        "index.html",
        ".pulled",
        "lenet_untrained.safetensors",
        "a%0a_trained_1",
    ],
)
def test_names_that_a_training_does_not_write_are_refused(name: str, site: Site, package: Path) -> None:
    before = {path: path.read_bytes() for path in package.parent.rglob("*") if path.is_file()}
    assert put(site, name) == HTTPStatus.NOT_FOUND
    assert {path: path.read_bytes() for path in package.parent.rglob("*") if path.is_file()} == before


def test_what_is_too_large_is_refused_before_it_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "MOST_BYTES", 6)
    assert put(site, NAME) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert put(site, NAME, Content_Length="x") == HTTPStatus.LENGTH_REQUIRED
    assert asked(site, "POST", "host/end", b"", Content_Length=str(2**20 + 1))[0] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"3", b"[" * 100_000])
def test_what_is_no_message_is_refused(body: bytes, site: Site) -> None:
    assert asked(site, "POST", "host/lines", body)[0] == HTTPStatus.BAD_REQUEST


def said(site: Site, what: str, **message: Any) -> int:
    return asked(site, "POST", f"host/{what}", json.dumps(message).encode())[0]


def test_a_job_reaches_its_page_and_its_lines_come_back_until_it_ends(site: Site, session: Session) -> None:
    session.begin(JOB)
    page = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
    page.request("GET", f"/{site.token}/host/events?system=Browser%201&cores=4")
    told = page.getresponse()
    assert json.loads(told.readline())["job"] == {**vars(JOB), "words": list(JOB.words), "files": []}
    assert (session.visitor().system, session.visitor().cores) == ("Browser 1", 4)
    # One page at a time.
    assert asked(site, "GET", "host/events")[0] == HTTPStatus.CONFLICT

    assert said(site, "lines", job=JOB.id, lines=["1:\tLoss", "\x1b[31mred"]) == HTTPStatus.NO_CONTENT
    assert said(site, "lines", job=JOB.id, lines=3) == HTTPStatus.NO_CONTENT
    assert said(site, "lines", job="another", lines=["no"]) == HTTPStatus.CONFLICT
    assert said(site, "end", job=JOB.id, code=1) == HTTPStatus.NO_CONTENT
    assert said(site, "lines", job=JOB.id, lines=["too late"]) == HTTPStatus.CONFLICT
    lines = list[str]()
    assert session.follow(lines.append) == 1
    assert lines == ["1:\tLoss", "\\x1b[31mred"]

    session.end_all()
    assert json.loads(told.readline()) == {"over": True}
    page.close()


def test_a_page_that_goes_is_missed_and_may_come_back(
    site: Site, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.begin(JOB)
    for _ in range(2):
        page = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
        while True:
            page.request("GET", f"/{site.token}/host/events")
            # The server has not seen yet that the one before went.
            if (told := page.getresponse()).status == HTTPStatus.OK:
                break
            told.read()
            page.close()
        assert json.loads(told.readline())["job"]["id"] == JOB.id
        told.close()
        page.close()
    monkeypatch.setattr("pipeline.targets.web.session.AWAY_S", 0.0)
    assert session.follow(print) is None
