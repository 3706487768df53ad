"""What a training leaves that is killed, and what it has to be equal to when it has gone on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def records(output: Path, *events: str) -> list[dict[str, Any]]:
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if not events or record["event"] in events]


def trained(output: Path) -> list[Any]:
    """What a training computed: its steps with their losses and rates, its reports, and the final checkpoint."""
    told = [{k: v for k, v in r.items() if k != "seconds"} for r in records(output, "step", "report", "epoch")]
    last = records(output, "checkpoint")[-1]["file"]
    return [*told, parameters(output / last)]


def parameters(checkpoint: Path) -> bytes:
    """The bytes of all tensors; what stands before them names the run."""
    content = checkpoint.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def killed_after(whole: Path, output: Path, step: int, lines_more: int = 0) -> None:
    """Makes `output` what a training leaves that is killed after it saved `step` and wrote some lines more."""
    shutil.copytree(whole, output)
    for path in output.glob("*.safetensors"):
        if int(path.stem.rpartition("_")[2]) > step:
            path.unlink()
    lines = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
    saved = next(n for n, line in enumerate(lines) if f'"checkpoint", "step": {step}' in line)
    (output / "metrics.jsonl").write_text("".join(lines[: saved + 1 + lines_more]))


def flip_bits(file: Path, count: int = 3) -> None:
    """Flips bits near the end of a file, where a checkpoint has its weights."""
    content = bytearray(file.read_bytes())
    for number in range(count):
        content[-40 - 7 * number] ^= 0x40
    file.write_bytes(content)
