"""Debian packages without installing them: fetched by `apt-get` with a private state folder, unpacked by `dpkg-deb`.

Reads: the machine's own apt sources, for the address of its Debian mirror. Writes: only into the given folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.commands import run
from pipeline.errors import PackageError
from pipeline.files import new_file

SUITE = "trixie"
MIRROR_VARIABLE = "TRAIN_ON_DEVICE_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DOWNLOAD_TIMEOUT_S = 900.0
RELEASE_FILE = re.compile(r"^'(?P<mirror>[^']+)/dists/(?P<suite>[^'/]+)/InRelease'", re.MULTILINE)

CONFIGURATION_FILE = "apt.conf"
CONFIGURATION = """\
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
Dir::Etc::sourcelist "{state}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
APT::Install-Recommends "false";
#clear APT::Architectures;
APT::Architectures {{ "amd64"; "arm64"; }};
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def download(packages: Sequence[str], state: Path) -> list[Path]:
    """Fetches `packages` and all that they depend on, as if nothing were installed; apt checks every signature.

    Args:
      packages: names with their architecture, such as `toybox:arm64`.
      state: a folder for apt's lists and archives.

    Raises:
      PackageError: this machine has no Debian sources to take the mirror from.
      CommandError: the mirror cannot be reached or has no such package.
    """
    configuration = _updated(state)
    install = ("install", "--download-only", "-y", *packages)
    run(["apt-get", "-q", "-c", configuration, *install], timeout_s=DOWNLOAD_TIMEOUT_S)
    return sorted(_archives(state).glob("*.deb"))


def offered(packages: Sequence[str], state: Path) -> dict[str, list[Version]]:
    """Versions and digests of `packages` in the signed lists of the mirror; what it does not have is left out.

    Args:
      packages: names with their architecture, such as `libc6:arm64`.
      state: a folder for apt's lists and archives.

    Raises:
      PackageError: this machine has no Debian sources to take the mirror from.
      CommandError: the mirror cannot be reached or has none of them.
    """
    configuration = _updated(state)
    return parse_records(run(["apt-cache", "-c", configuration, "show", *packages], timeout_s=60))


def parse_records(text: str) -> dict[str, list[Version]]:
    """Versions and digests by name in what `apt-cache show` prints, in its order: the newest first."""
    found: dict[str, list[Version]] = {}
    for record in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", record, re.MULTILINE))
        if fields:
            found.setdefault(fields["Package"], []).append(Version(fields["Version"], fields["SHA256"]))
    return found


def fetch(packages: Mapping[str, str], state: Path) -> list[Path]:
    """Fetches these packages alone, in these versions, after `offered` has filled the lists in `state`.

    Args:
      packages: versions by names with their architecture.
      state: the folder given to `offered`, as an absolute path.

    Raises:
      CommandError: the mirror cannot be reached or has no such version.
    """
    words = [f"{name}={version}" for name, version in packages.items()]
    apt: list[str | Path] = ["apt-get", "-q", "-c", state / CONFIGURATION_FILE]
    run([*apt, "download", *words], timeout_s=DOWNLOAD_TIMEOUT_S, cwd=_archives(state))
    return sorted(_archives(state).glob("*.deb"))


def unpack(archives: Sequence[Path], folder: Path) -> None:
    """Unpacks the files of `archives` into `folder`; none of their scripts runs."""
    for archive in archives:
        run(["dpkg-deb", "-x", archive, folder], timeout_s=300)


def mirror_in(release_uris: str) -> str | None:
    """The Debian mirror in the output of `apt-get update --print-uris`.

    Other archives serve a suite of the same name, but only Debian's own serves its `-updates` beside it.
    """
    suites: dict[str, set[str]] = {}
    for found in RELEASE_FILE.finditer(release_uris):
        suites.setdefault(found["mirror"], set()).add(found["suite"])
    for mirror, names in suites.items():
        if any(f"{name}-updates" in names for name in names) and mirror.rstrip("/").endswith("debian"):
            return mirror
    return next((mirror for mirror in suites if mirror.rstrip("/").endswith("/debian")), None)


def _archives(state: Path) -> Path:
    return state / "cache" / "archives"


def _updated(state: Path) -> Path:
    """Fetches the mirror's lists where they are not there yet; returns apt's configuration."""
    configuration = state / CONFIGURATION_FILE
    if configuration.exists():
        return configuration
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (_archives(state) / "partial").mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    signed_by = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
    (state / "debian.sources").write_text(
        f"Types: deb\nURIs: {mirror()}\nSuites: {SUITE} {SUITE}-updates\nComponents: main\n{signed_by}"
    )
    # It has its name when the lists are there.
    with new_file(configuration) as temporary:
        temporary.write_text(CONFIGURATION.format(state=state))
        run(["apt-get", "-q", "-c", temporary, "update"], timeout_s=DOWNLOAD_TIMEOUT_S)
    return configuration


def mirror() -> str:
    """The address of a Debian mirror: that of the environment, else that of this machine's own apt sources.

    Raises:
      PackageError: they name none.
      CommandError: apt-get failed.
    """
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        mirror = mirror_in(run(["apt-get", "update", "--print-uris"], timeout_s=60))
    if not mirror:
        raise PackageError(
            "the apt sources of this machine name no Debian mirror to take a device's packages from: "
            f"set {MIRROR_VARIABLE} to the address of one"
        )
    return mirror
