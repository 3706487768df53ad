"""The folder that a training writes into: one training at a time, and none is written over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import last_start, read_metrics
from device_runtime.formats.whole_file import held


@contextmanager
def one_training_in(output: Path) -> Iterator[None]:
    """Holds the folder; the lock ends with the process, however that ends.

    Raises:
      FormatError: another process holds it.
    """
    with ExitStack() as holding:
        try:
            holding.enter_context(held(output))
        except BlockingIOError:
            raise FormatError(f"another training writes into {output}: wait for its end, or give --output") from None
        yield


def set_aside(output: Path) -> None:
    """Moves what another training left in the folder into a folder within, named after it: the only copy, perhaps."""
    try:
        start = last_start(read_metrics(output))
        name = str(start["run"]) if start else ""
    except (FormatError, KeyError):
        name = "damaged"
    if not name:
        return
    earlier = output / f"earlier-{name}"
    earlier.mkdir(exist_ok=True)
    for path in sorted(output.iterdir()):
        if path.is_file():
            path.rename(earlier / path.name)
