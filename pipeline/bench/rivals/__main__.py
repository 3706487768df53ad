"""One rival's train step, timed: `python -m pipeline.bench.rivals RIVAL TASK THREADS SECONDS`.

Answers each line on stdin with a line of JSON as device_runtime/bench.py does; where it does not run, it says why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from device_runtime.metrics import resident_memory_bytes
from device_runtime.timing import serve, timed
from pipeline.bench.rivals import executorch_rival, jax_rival, reference_rival, torch_rival
from pipeline.bench.rivals.task import Step, Task

# Of each, what brings its library up with the number of threads, and what makes the step.
RIVALS: dict[str, tuple[Callable[[int], None], Callable[[Task, int], Step]]] = {
    "onnxruntime-training": (reference_rival.begin, reference_rival.step),
    "torch-eager": (torch_rival.begin, torch_rival.eager_step),
    "torch-compile": (torch_rival.begin, torch_rival.compiled_step),
    "executorch": (executorch_rival.begin, executorch_rival.step),
    "jax": (jax_rival.begin, jax_rival.step),
}


def main() -> None:
    """Sets the rival up and answers."""
    rival, file, threads, seconds = sys.argv[1:]
    begin, make = RIVALS[rival]
    try:
        begin(int(threads))
        base = resident_memory_bytes()
        step = make(Task.load(Path(file)), int(threads))
        step()
    # Whatever keeps a rival from running (no compiler, no kernel) is a result, and no reason to give up the others.
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        serve(lambda: {"unavailable": reason})
    else:
        serve(lambda: timed(step, float(seconds), base))


if __name__ == "__main__":
    main()
