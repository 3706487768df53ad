"""How one dataset is parted among devices: `--partition`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from pipeline.options import positive_number


@dataclass(frozen=True)
class Parting:
    """How one dataset is parted.

    Attributes:
      kind: iid: at random; dirichlet: the images of each class in shares that are drawn of that distribution (Yurochkin
        et al., 2019); classes: each device has images of so many classes alone (McMahan et al., 2017).
      value: the concentration of the distribution, or the number of classes; 0 for iid.
    """

    kind: str
    value: float = 0.0

    def __str__(self) -> str:
        return self.kind if self.kind == "iid" else f"{self.kind}:{self.value:g}"


def parse_parting(text: str) -> Parting:
    """Reads iid, dirichlet:0.5 or classes:2.

    Raises:
      ValueError: it is none of them.
    """
    kind, colon, number = text.partition(":")
    if kind == "iid" and not colon:
        return Parting(kind)
    with suppress(ValueError):
        value = positive_number(number)
        if kind == "dirichlet" or (kind == "classes" and value.is_integer()):
            return Parting(kind, value)
    raise ValueError("iid, dirichlet:0.5 (a concentration above 0) or classes:2 (so many classes for each device)")
