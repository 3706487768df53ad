"""What `-v` prints: the sizes of data and batch, and each node's inputs and outputs on the first batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.batches import Batches
from device_runtime.console import say
from device_runtime.engines.sessions import session_options
from device_runtime.evaluation import Images
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.model import Model, by_name
from device_runtime.formats.steps import BUFFER, GRADIENT, PARAMETER, RENEWED
from device_runtime.onnx_graph import Node, read_nodes, with_outputs

Values = Mapping[str, npt.NDArray[Any]]


def describe_run(
    folder: Path, model: Model, splits: Mapping[str, Images], start: Checkpoint, batch_size: int, seed: int
) -> None:
    """Prints the sizes, then runs the first step once with every value as an output and prints a block per node."""
    for name, split in splits.items():
        say(f"{name}: {len(split)} images")
    say(f"batch size {batch_size}, {model.parameters_size} parameters")
    file = (folder / "gradient_step.onnx").read_bytes()
    nodes = read_nodes(file)
    size = min(batch_size, len(splits["train"]))
    inputs, label = splits["train"].batch(Batches(len(splits["train"]), size, seed).indices(1))
    feeds = _feeds(model, start, inputs, label)
    given = {
        "loss",
        *(f"{GRADIENT}{tensor.name}" for tensor in model.parameters),
        *(f"{RENEWED}{tensor.name}" for tensor in model.buffers),
    }
    values = _all_values(folder, file, nodes, feeds, given)
    for node in nodes:
        say(f"{node.op_type} {node.name}")
        for kind, names in (("input", node.inputs), ("output", node.outputs)):
            for name in names:
                if name:
                    say(f"  {kind} {name}: {_summary(values.get(name))}")


def _feeds(model: Model, start: Checkpoint, inputs: npt.NDArray[Any], label: npt.NDArray[np.int64]) -> Values:
    parameters, buffers = by_name(start.parameters, model.parameters), by_name(start.buffers, model.buffers)
    return {
        model.batch_input: inputs,
        "label": label,
        "step": np.array(start.step + 1, np.int64),
        **{f"{PARAMETER}{name}": value for name, value in parameters.items()},
        **{f"{BUFFER}{name}": value for name, value in buffers.items()},
    }


def _all_values(folder: Path, file: bytes, nodes: list[Node], feeds: Values, given: Collection[str]) -> Values:
    """Every value of a graph, of which it gives some anyway; its frozen weights stand in the folder."""
    options = session_options(1)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    # Optimisations would fuse nodes away whose values are asked for here.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Constants too: an initializer can be an output like any value.
    names = dict.fromkeys(name for node in nodes for name in (*node.inputs, *node.outputs) if name)
    further = [name for name in names if name not in given and name not in feeds]
    session = ort.InferenceSession(with_outputs(file, further), options, ["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(feeds) | dict(zip(outputs, session.run(outputs, dict(feeds)), strict=True))


def _summary(value: npt.NDArray[Any] | None) -> str:
    if value is None:
        return "constant"
    shape = "×".join(map(str, value.shape)) or "scalar"
    if not value.size:
        return f"{value.dtype} {shape}, empty"
    return f"{value.dtype} {shape}, {value.min():.6g} to {value.max():.6g}"
