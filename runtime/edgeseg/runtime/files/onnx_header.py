"""What an ONNX file says of itself, read from its protobuf frame without any package: versions, and files beside it.

Reference:
    github.com/onnx/onnx, onnx/onnx.proto (messages ModelProto, GraphProto, TensorProto, OperatorSetIdProto).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Field numbers of onnx.proto.
_IR_VERSION, _PRODUCER, _GRAPH, _OPSETS = 1, 2, 7, 8  # ModelProto
_INITIALIZER, _EXTERNAL_DATA = 5, 13  # GraphProto; TensorProto
_DOMAIN, _VERSION = 1, 2  # OperatorSetIdProto
_KEY, _VALUE = 1, 2  # StringStringEntryProto
_LARGEST_FIELD = 1 << 29
_LONGEST_NAME = 4096

# (field number, number or (start, length) of its bytes)
_Field = tuple[int, "int | tuple[int, int]"]


@dataclass(frozen=True)
class OnnxHeader:
    """The frame of an ONNX file.

    Attributes:
        ir_version: Of the file format.
        opsets: Version of the operator set by domain; "" is ONNX's own.
        producer: What wrote it, or "".
        external: Files beside it that hold weights, by the name it calls them.
        missing_bytes: How much of the file is cut off.
    """

    ir_version: int
    opsets: dict[str, int]
    producer: str
    external: tuple[str, ...]
    missing_bytes: int = 0

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators; 0 where the file does not say."""
        return self.opsets.get("", self.opsets.get("ai.onnx", 0))


def read_onnx_header(path: Path) -> OnnxHeader | None:
    """Read the frame; weights are passed over.

    Args:
        path: A file of any kind.

    Returns:
        What it says, or None where this is no ONNX file.

    Raises:
        OSError: If the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return _header(file, size)
        except (ValueError, UnicodeDecodeError):
            return None


def weights_elsewhere(content: bytes) -> tuple[str, ...]:
    """Files that hold weights of an ONNX model, by the name it calls them; none where the content is no such model.

    Args:
        content: Of the model's file.
    """
    if b"location" not in content:  # the key under which a file is named: most models are done with here
        return ()
    file = io.BytesIO(content)
    try:
        graphs = [where for number, where in _fields(file, 0, len(content)) if number == _GRAPH]
        return tuple(name for graph in graphs if not isinstance(graph, int) for name in _external(file, graph))
    except (ValueError, UnicodeDecodeError):
        return ()


def _header(file: BinaryIO, size: int) -> OnnxHeader | None:
    ir_version, missing, has_graph = 0, 0, False
    producer, opsets, external = "", dict[str, int](), dict[str, None]()
    for number, value in _fields(file, 0, size):
        if number == _IR_VERSION and isinstance(value, int):
            ir_version = value
        elif isinstance(value, int):
            continue
        elif value[0] + value[1] > size:
            has_graph, missing = has_graph or number == _GRAPH, value[0] + value[1] - size
            break
        elif number == _PRODUCER:
            producer = _text(file, value)
        elif number == _OPSETS:
            domain, version = _opset(file, value)
            opsets[domain] = version
        elif number == _GRAPH:
            has_graph = True
            external |= dict.fromkeys(_external(file, value))
    if not (has_graph and 0 < ir_version < 1000):
        return None
    return OnnxHeader(ir_version, opsets, producer, tuple(external), missing)


def _opset(file: BinaryIO, where: tuple[int, int]) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in _fields(file, *_span(where)):
        if number == _DOMAIN and not isinstance(value, int):
            domain = _text(file, value)
        elif number == _VERSION and isinstance(value, int):
            version = value
    return domain, version


def _external(file: BinaryIO, graph: tuple[int, int]) -> Iterator[str]:
    """Locations that the graph's weights name."""
    for number, tensor in _fields(file, *_span(graph)):
        if number != _INITIALIZER or isinstance(tensor, int):
            continue
        for inner, entry in _fields(file, *_span(tensor)):
            if inner == _EXTERNAL_DATA and not isinstance(entry, int):
                pair = {key: _text(file, one) for key, one in _fields(file, *_span(entry)) if not isinstance(one, int)}
                if pair.get(_KEY) == "location":
                    yield pair.get(_VALUE, "")


def _fields(file: BinaryIO, start: int, end: int) -> Iterator[_Field]:
    """Fields of a message between two offsets; the caller may read elsewhere in between.

    Raises:
        ValueError: These bytes are no protobuf.
    """
    at = start
    while at < end:
        file.seek(at)
        key, at = _varint(file, at)
        number, wire = key >> 3, key & 7
        if not 0 < number < _LARGEST_FIELD:
            raise ValueError(f"field {number}")
        if wire == 0:
            value, at = _varint(file, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(file, at)
            yield number, (at, length)
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(file: BinaryIO, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the message ends within a number")
        at += 1
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")


def _span(where: tuple[int, int]) -> tuple[int, int]:
    return where[0], where[0] + where[1]


def _text(file: BinaryIO, where: tuple[int, int]) -> str:
    if where[1] > _LONGEST_NAME:
        raise ValueError("a name that is none")
    file.seek(where[0])
    return file.read(where[1]).decode("utf-8")
