"""Names of files and classes, of any bytes → names that every file system and tool on the way takes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from urllib.parse import quote

from device_runtime.formats.paths import LONGEST_NAME
from pipeline.errors import readable

# Beside letters, digits and `_.-~`.
_PLAIN = " !#&()+,=@^{}"


def file_name(split: str, class_name: str, name: str) -> str:
    """The path on the device of an image, with slashes: plain names as they are, other bytes percent-encoded.

    Args:
      split: the first folder.
      class_name: the second, one folder even where it has slashes.
      name: the image's, with slashes where it lies in folders within its class, and without `.bmp`.
    """
    *folders, last = name.split("/")
    parts = [_portable(folder) for folder in (class_name, *folders)]
    # So that no folder has the name of an image beside it.
    parts = [f"{part[:-1]}%70" if part.endswith(".bmp") else part for part in parts]
    return "/".join((split, *parts, _portable(last, ".bmp")))


def readable_classes(names: Sequence[str]) -> tuple[str, ...]:
    """The names of class folders as text; where two would read alike, the bytes that are not UTF-8 as escapes."""
    shown = [readable(name) for name in names]
    return tuple(
        os.fsencode(name).decode("utf-8", "backslashreplace") if shown.count(text) > 1 else text
        for name, text in zip(names, shown, strict=True)
    )


def _portable(name: str, suffix: str = "") -> str:
    """One name; of one that is too long the beginning, and a digest of it all."""
    content = os.fsencode(name)
    encoded = quote(content, safe=_PLAIN)
    if name in (".", ".."):
        # Of the file systems' own names no folder and no image may be one; a class of a table is any text.
        encoded = encoded.replace(".", "%2E")
    if len(encoded) + len(suffix) > LONGEST_NAME - len("%70"):
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        start = encoded[: LONGEST_NAME - len(f"%70~{digest}{suffix}")]
        # An encoded byte is not cut in two.
        encoded = f"{re.sub('%.?$', '', start)}~{digest}"
    return encoded + suffix
