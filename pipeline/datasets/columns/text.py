"""Texts of tables as people save them."""

from __future__ import annotations


def decoded(content: bytes) -> str:
    """As Excel and everybody else saves tables: UTF-8, UTF-16 with its mark, Windows-1252, or else Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def delimiter_of(text: str) -> str:
    """What stands most often in the first line of comma, semicolon, tabulator and upright."""
    first = text.partition("\n")[0]
    return max(",;\t|", key=first.count)
