"""Figures of matplotlib as PNG, all in one style: legible at half their size, told apart without seeing colours."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's, which no kind of colour blindness confuses; their yellow is too light for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
LINES = ("-", "--", ":", "-.")
# Of single points, which have no dashes.
MARKS = ("o", "s", "^", "D")
GREY = "#666666"

# A page shows a figure some 350 to 600 pixels wide: letters of 10 points stay legible.
_INCHES, _DPI = 4.8, 180


@contextmanager
def style() -> Iterator[None]:
    """Within it figures are made and drawn; what matplotlib would say on stderr is no user's business."""
    # Before it is imported: then it looks for a folder of its own.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl

    chosen = mpl.rc_context(
        {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e5e5e5",
            "legend.frameon": False,
            "legend.fontsize": 9,
            # A class may be called $x$.
            "text.parse_math": False,
        }
    )
    with chosen, warnings.catch_warnings():
        # Of a character that the font lacks, it draws an empty box.
        warnings.simplefilter("ignore")
        yield


def figure(height: float = 2.9, width: float = _INCHES) -> Figure:
    """An empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=_DPI, layout="constrained")


def png_of(drawn: Figure) -> bytes:
    """The figure as a PNG file."""
    content = io.BytesIO()
    drawn.savefig(content, format="png")
    return content.getvalue()
