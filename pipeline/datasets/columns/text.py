"""Texts of tables as people save them."""

from __future__ import annotations


def decoded(content: bytes) -> str:
    """As Excel and everybody else saves tables: UTF-8, UTF-16 with its mark, or Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def delimiter_of(text: str) -> str:
    """What stands most often in the first line of comma, semicolon and tabulator."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)
