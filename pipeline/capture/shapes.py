"""The shape of every value of a forward graph, measured.

Shape inference gives up where a model computes shapes (`interpolate(size=…)`, `normalize`, attention): it leaves
symbols there, and onnxruntime-training's gradient builder takes two symbols for two sizes and sums over the batch. So
the graph is run with two sizes of the batch: what both runs agree in is static.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from pipeline.errors import ModelError

# Two sizes of the batch: what differs between the runs comes from it.
BATCHES = (2, 3)


def with_shapes(forward: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the shape and type of every value written into it.

    Raises:
      ModelError: the graph does not run with a batch of another size than it was exported with.
    """
    small, large = (run_on_zeros(forward, batch) for batch in BATCHES)
    known = onnx.ModelProto()
    known.CopyFrom(forward)
    outputs = {output.name for output in forward.graph.output}
    del known.graph.value_info[:]
    for name, value in small.items():
        shape = _shape(value.shape, large[name].shape)
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
    import onnxruntime as ort

    watched = onnx.ModelProto()
    watched.CopyFrom(forward)
    del watched.graph.output[:]
    names = [name for node in forward.graph.node for name in node.output if name]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Names have to survive: no fusion.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    weights = {tensor.name for tensor in forward.graph.initializer}
    feeds = {info.name: _zeros(info, batch) for info in forward.graph.input if info.name not in weights}
    try:
        session = ort.InferenceSession(watched.SerializeToString(), options, ["CPUExecutionProvider"])
        values = session.run(names, feeds)
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"the model does not run with a batch of {batch}: {reason}") from error
    return dict(zip(names, (np.asarray(value) for value in values), strict=True))


def _zeros(info: onnx.ValueInfoProto, batch: int) -> npt.NDArray[np.generic]:
    tensor = info.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else batch for dim in tensor.shape.dim]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def _shape(small: tuple[int, ...], large: tuple[int, ...]) -> list[int | str]:
    """The sizes that agree, "N" for the batch, and a name of its own for what else grows with it, such as "12N"."""
    return [a if a == b else _symbol(a, b) for a, b in zip(small, large, strict=True)]


def _symbol(small: int, large: int) -> str:
    factor = (large - small) // (BATCHES[1] - BATCHES[0])
    rest = small - factor * BATCHES[0]
    return (f"{factor}N" if factor != 1 else "N") + (f"+{rest}" if rest else "")
