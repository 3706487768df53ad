"""Reads and extends an ONNX file without the onnx package, which a device does not have.

Only what `-v` needs: the nodes of the graph, and further outputs. Format: protocol buffers' wire format and onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE = 1, 2, 3, 4
_VALUE_NAME = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Node:
    """One operator: names of its inputs and outputs, "" for one left out."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_nodes(model: bytes) -> list[Node]:
    """The nodes of a model's graph in their order."""
    return [_node(content) for field, content in _fields(_graph(model)) if field == _GRAPH_NODE]


def with_outputs(model: bytes, names: Sequence[str]) -> bytes:
    """The model with further outputs; the runtime finds their types itself."""
    outputs = b"".join(_field(_GRAPH_OUTPUT, _field(_VALUE_NAME, name.encode())) for name in names)
    # Fields of one message may come in pieces: a second graph field is merged into the first.
    return model + _field(_MODEL_GRAPH, outputs)


def _graph(model: bytes) -> bytes:
    return b"".join(content for field, content in _fields(model) if field == _MODEL_GRAPH)


def _node(content: bytes) -> Node:
    fields = list(_fields(content))

    def texts(number: int) -> tuple[str, ...]:
        return tuple(value.decode() for field, value in fields if field == number)

    return Node("".join(texts(_NODE_OP_TYPE)), "".join(texts(_NODE_NAME)), texts(_NODE_INPUT), texts(_NODE_OUTPUT))


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message as (number, content); numbers are passed over."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _BYTES:
            length, position = _varint(message, position)
            yield key >> 3, message[position : position + length]
            position += length
        elif kind == _VARINT:
            _, position = _varint(message, position)
        else:
            position += {_FIXED64: 8, _FIXED32: 4}[kind]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if not byte & 0x80:
            return value, position
        shift += 7


def _field(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
