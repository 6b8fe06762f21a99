"""Whether TensorRT computes anybody's Q/DQ file in integers: the placement rules, and its parser's own word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import inliner

from edgeseg.export.trt.parser_word import ParserWord, ask_parser
from edgeseg.export.trt.rules import broken_rules
from edgeseg.export.trt.rules.graph import DQ, Q, QdqGraph, Violation, name_of
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of, refusal


@dataclass(frozen=True)
class CheckedQdq:
    """What was found.

    Attributes:
        pairs: DequantizeLinear nodes of activations and kernels that were looked at.
        violations: What breaks a rule.
        not_checked: Nodes with graphs of their own, which the rules do not look into.
        parser: What TensorRT's parser says, or why it was not asked.
    """

    pairs: int
    violations: tuple[Violation, ...]
    not_checked: tuple[str, ...]
    parser: ParserWord

    @property
    def ok(self) -> bool:
        """Whether no rule is broken and the parser, where it was asked, refuses nothing."""
        return not self.violations and not self.parser.errors


def check_qdq(path: Path, *, dla: bool = False) -> CheckedQdq:
    """Hold a file against the placement rules.

    Args:
        path: An ONNX file with Q/DQ pairs.
        dla: The engine will run on a deep-learning accelerator.

    Raises:
        ConfigError: If it is no such file.
    """
    if (kind := kind_of(path)).key != "onnx":
        raise ConfigError(refusal(path, "an ONNX file with Q/DQ pairs", kind))
    try:
        model = inliner.inline_local_functions(onnx.load(path))
    except Exception as err:  # decoding foreign bytes, and weights beside them, fails in many ways
        raise ConfigError(f"{path} is no valid ONNX file ({condensed(err)}); export it again.") from err
    graph = QdqGraph(model)
    pairs = sum(node.op_type == DQ for node in graph.nodes)
    violations = broken_rules(graph, dla=dla)
    if not pairs and not violations and not any(node.op_type == Q for node in graph.nodes):
        raise ConfigError(
            f"{path} has no QuantizeLinear / DequantizeLinear pair: TensorRT would compute all of it in float. "
            "Quantise it first."
        )
    nested = tuple(
        name_of(node) for node in graph.nodes if any(one.HasField("g") or one.graphs for one in node.attribute)
    )
    return CheckedQdq(pairs, violations, nested, ask_parser(path))
