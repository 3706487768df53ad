"""What a training recorded, line by line: metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_metrics(results: Path) -> list[dict[str, Any]]:
    """The records of a results folder's metrics.jsonl, without a last one that was half written when the power went."""
    file = results / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
