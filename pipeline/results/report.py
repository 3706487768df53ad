"""The report stage: metrics.jsonl → report.html, one file that opens anywhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from device_runtime.formats.dataset import read_description
from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import read_metrics
from pipeline.datasets.photographs.account import FILE_NAME as ACCOUNT
from pipeline.datasets.photographs.account import Account, found_line, read_account, table_of
from pipeline.files import new_file

WIDTH, HEIGHT, MARGIN = 720, 280, 44


def write_report(results: Path, dataset: Path | None = None) -> None:
    """Reads metrics.jsonl of a results folder and writes report.html beside it.

    It has the loss curve, evaluations, settings, and of the dataset's folder, if there is one, what was found.

    Raises:
      FormatError: metrics.jsonl is damaged, or says of no training that it began.
    """
    records = read_metrics(results)
    steps = [record for record in records if record["event"] == "step"]
    evaluations = [record for record in records if record["event"] in ("evaluation", "report")]
    start = next((record for record in records if record["event"] == "start"), None)
    if start is None:
        raise FormatError(f"{results}: metrics.jsonl says of no training that it began: pull again, or train again")
    # A training that was interrupted has none.
    end = records[-1] if records[-1]["event"] == "end" else {}
    heading = html.escape(f"{start['model']}, {len(steps)} steps")
    page = "\n".join(
        [
            "<!doctype html><meta charset=utf-8>",
            f"<title>{heading}</title>",
            "<style>body{font:15px sans-serif;max-width:760px;margin:2em auto}td{padding:.1em 1em .1em 0}</style>",
            f"<h1>{heading}</h1>",
            "<h2>Loss</h2>",
            _chart([(record["step"], record["loss"]) for record in steps]),
            "<h2>Accuracy</h2>",
            _chart([(record["step"], record["accuracy"]) for record in evaluations]),
            "<h2>Run</h2>",
            _table({**start, **end}),
            *(_data(dataset) if dataset else ()),
        ]
    )
    with new_file(results / "report.html") as temporary:
        temporary.write_text(page + "\n")


def _data(dataset: Path) -> list[str]:
    """What the conversion said, and its table by class; a package of an older version has no account of it."""
    description = read_description(dataset)
    account = read_account(dataset) if (dataset / ACCOUNT).is_file() else Account()
    lines = [found_line(description), *account.told]
    rows = table_of(description, account)
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return [
        "<h2>Data</h2>",
        *(f"<p>{html.escape(line)}</p>" for line in lines),
        f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>",
    ]


def _chart(points: Sequence[tuple[float, float]]) -> str:
    """The points as an SVG line from the first to the last step, from the least to the largest value."""
    if not points:
        return "<p>none</p>"
    steps, values = [point[0] for point in points], [point[1] for point in points]
    left, right, low, high = min(steps), max(steps), min(values), max(values)
    width, height = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    line = " ".join(
        f"{MARGIN + width * (x - left) / ((right - left) or 1):.1f},"
        f"{HEIGHT - MARGIN - height * (y - low) / ((high - low) or 1):.1f}"
        for x, y in points
    )
    labels = [(0, MARGIN, f"{high:.4g}"), (0, HEIGHT - MARGIN, f"{low:.4g}")]
    labels += [(MARGIN, HEIGHT - 10, f"{left:g}"), (WIDTH - MARGIN, HEIGHT - 10, f"{right:g}")]
    texts = "".join(f'<text x="{x}" y="{y}" font-size="12">{text}</text>' for x, y, text in labels)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{texts}'
        f'<polyline points="{line}" fill="none" stroke="#1565c0" stroke-width="1.5"/></svg>'
    )


def _table(record: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in record.items()
        if name != "event"
    )
    return f"<table>{rows}</table>"
