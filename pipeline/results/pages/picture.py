"""A PNG with what it is called: a file beside the page, and within it."""

from __future__ import annotations

import base64
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
      name: of its file, without suffix.
      title: what it shows.
      png: the file.
    """

    name: str
    title: str
    png: bytes

    @property
    def uri(self) -> str:
        """The picture itself, as an `img` of a page without a network takes it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"
