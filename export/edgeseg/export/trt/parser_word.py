"""What the parser of an installed TensorRT says of a file. It needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgeseg.export.trt.modules import find_tensorrt, listener, parse_errors, reasons
from edgeseg.runtime.errors import BackendError


class ParserWord(NamedTuple):
    """The parser's answer.

    Attributes:
        module: Module and version that was asked, or None.
        errors: What it refuses, each with its node.
        reason: Why none was asked, or None.
    """

    module: str | None
    errors: tuple[str, ...]
    reason: str | None


def ask_parser(path: Path) -> ParserWord:
    """Parse a file by the TensorRT that is installed; `tensorrt` goes first."""
    try:
        trt = find_tensorrt(for_capability=False)
    except BackendError as err:
        return ParserWord(None, (), str(err))
    logger, said = listener(trt)
    builder = trt.module.Builder(logger)
    # By name: its number is another one in every version.
    network = builder.create_network(1 << int(trt.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.module.OnnxParser(network, logger)
    if parser.parse_from_file(str(path)):
        return ParserWord(trt.describe(), (), None)
    return ParserWord(trt.describe(), tuple(parse_errors(parser)) or (reasons(said),), None)
