"""What the parser of an installed TensorRT says of a file. It needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgeseg.runtime.backends.tensorrt_module import import_tensorrt, logger_of
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.engines import ENGINES, installed_package
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
    engine = next((name for name in ("tensorrt", "tensorrt-rtx") if installed_package(name) is not None), None)
    if engine is None:
        return ParserWord(
            None, (), f"no TensorRT is installed here; on x86-64 Linux run {ENGINES['tensorrt-rtx'].remedy}"
        )
    try:
        module = import_tensorrt(engine)
    except BackendError as err:
        return ParserWord(None, (), str(err))
    logger, said = logger_of(module)
    said.clear()
    builder = module.Builder(logger)
    # By name: its number is another one in every version.
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, logger)
    name = f"{module.__name__} {module.__version__}"
    if parser.parse_from_file(str(path)):
        return ParserWord(name, (), None)
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    words = [f"node {one.node_name() or one.node()} ({one.node_operator()}): {_reason(one.desc())}" for one in errors]
    return ParserWord(name, tuple(words) or (condensed("; ".join(said)),), None)


def _reason(text: str) -> str:
    # A missing CUDA driver is reported beside every error; parsing needs none.
    return condensed("; ".join(line for line in text.splitlines() if "catchCudaError" not in line))
