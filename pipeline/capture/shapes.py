"""The shape of every value of a forward graph, measured.

Shape inference gives up where a model computes shapes (`interpolate(size=…)`, `normalize`, attention): it leaves
symbols there, and onnxruntime-training's gradient builder takes two symbols for two sizes and sums over the batch. So
the graph is run with three sizes of the batch: what all runs agree in is static.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from pipeline.errors import ModelError
from pipeline.graphs.running import open_graph, run, watching
from pipeline.sources.onnx_files.refusals import reason_of

# Sizes of the batch: what differs between the runs comes from it, and a third tells whether it does so evenly.
BATCHES = (2, 3, 5)

_ADVICE = "shapes have to follow from the batch, not from pixels; replace the operator"


def with_shapes(forward: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the shape and type of every value written into it.

    Raises:
      ModelError: the graph does not run with a batch of another size than it was exported with.
    """
    runs = [run_on_zeros(forward, batch) for batch in BATCHES]
    known = onnx.ModelProto()
    known.CopyFrom(forward)
    outputs = {output.name for output in forward.graph.output}
    del known.graph.value_info[:]
    for name, value in runs[0].items():
        shape = _shape(name, [values[name].shape for values in runs])
        info = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape)
        if name in outputs:
            next(output for output in known.graph.output if output.name == name).CopyFrom(info)
        else:
            known.graph.value_info.append(info)
    return known


def run_on_zeros(forward: onnx.ModelProto, batch: int) -> dict[str, npt.NDArray[np.generic]]:
    """Every value that the graph computes for a batch of zeros.

    Raises:
      ModelError: it does not run with a batch of that size.
    """
    watched, names = watching(forward)
    weights = {tensor.name for tensor in forward.graph.initializer}
    feeds = {info.name: _zeros(info, batch) for info in forward.graph.input if info.name not in weights}
    try:
        return run(open_graph(watched), names, feeds)
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        raise ModelError(f"the model does not run with a batch of {batch}: {reason_of(error)}") from error


def _zeros(info: onnx.ValueInfoProto, batch: int) -> npt.NDArray[np.generic]:
    tensor = info.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else batch for dim in tensor.shape.dim]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def _shape(name: str, shapes: list[tuple[int, ...]]) -> list[int | str]:
    """The sizes that agree, "N" for the batch, and a name of its own for what else grows with it, such as "12N".

    Raises:
      ModelError: they do not grow evenly.
    """
    if len({len(shape) for shape in shapes}) > 1:
        raise ModelError(f"{name} has more axes for some batches than for others: {_ADVICE}")
    return [sizes[0] if len(set(sizes)) == 1 else _symbol(name, sizes) for sizes in zip(*shapes, strict=True)]


def _symbol(name: str, sizes: tuple[int, ...]) -> str:
    factor = (sizes[1] - sizes[0]) // (BATCHES[1] - BATCHES[0])
    rest = sizes[0] - factor * BATCHES[0]
    if any(size != factor * batch + rest for size, batch in zip(sizes, BATCHES, strict=True)):
        raise ModelError(f"{name} does not grow evenly with the batch ({', '.join(map(str, sizes))}): {_ADVICE}")
    return (f"{factor}N" if factor != 1 else "N") + (f"+{rest}" if rest else "")
