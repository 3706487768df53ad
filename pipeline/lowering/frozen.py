"""frozen.bin of a model folder: the frozen weights that steps compute with, once for all of them."""

from __future__ import annotations

from pathlib import Path

import onnx

from pipeline.capture.half import cast_from_half, half_of
from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.stored import Place, graphs_of, is_stored, place_of, stored_at, values_of

FILE_NAME = "frozen.bin"
# The runtime maps each tensor by pages.
PAGE = 4096


class FrozenWeights:
    """The file, written as graphs come that need more of it; where none does, there is none."""

    def __init__(self, folder: Path, in_half: bool) -> None:
        """`in_half` stores as float16 what float16 holds exactly."""
        self._file = folder / FILE_NAME
        self._in_half = in_half
        self._taken: dict[Place, tuple[Place, int]] = {}

    def take(self, model: onnx.ModelProto) -> None:
        """Moves what a graph of `load_light` reads from elsewhere into the file."""
        for graph in graphs_of(model.graph):
            casts: list[onnx.NodeProto] = []
            for tensor in filter(is_stored, graph.initializer):
                name = tensor.name
                place, kind = self._placed(tensor)
                if kind != tensor.data_type:
                    casts.append(cast_from_half(name))
                    name = casts[-1].input[0]
                tensor.CopyFrom(stored_at(place, name, kind, tuple(tensor.dims)))
            if casts:
                replace_nodes(graph, [*casts, *graph.node])

    def _placed(self, tensor: onnx.TensorProto) -> tuple[Place, int]:
        """Where a tensor's numbers are now, and of which type."""
        old = place_of(tensor)
        if old not in self._taken:
            values, kind = values_of(tensor), tensor.data_type
            half = half_of(tensor) if self._in_half else None
            if half is not None:
                values, kind = half, onnx.TensorProto.FLOAT16
            with self._file.open("ab") as file:
                file.write(bytes(-file.tell() % PAGE))
                self._taken[old] = Place(FILE_NAME, file.tell(), values.nbytes), kind
                file.write(values.data)
        return self._taken[old]
