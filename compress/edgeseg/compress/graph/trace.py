"""A network as a list of named operations: the one naming that ranges, plan and both INT8 writers share.

A call of a module is named by its path (`blocks.0.act1`), its second call by `path#1`; a functional operation by the
name that torch.fx gives its node (`add`, `cat_1`, `interpolate`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ExportError

INPUT = "image"
PASSES = (nn.Identity, nn.Dropout, nn.Dropout2d)  # what does nothing in evaluation


class _Tracer(fx.Tracer):
    """Remembers which module was being traced, so that a failure can name it."""

    def __init__(self) -> None:
        super().__init__()
        self.open_modules: list[str] = []

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self.open_modules.append(f"{self.path_of_module(m)} ({type(m).__name__})")
        result = super().call_module(m, forward, args, kwargs)
        self.open_modules.pop()
        return result


def trace(model: nn.Module) -> fx.GraphModule:
    """Trace a network symbolically; the result shares the network's weights.

    Raises:
        ExportError: If the forward pass cannot be traced; names the module and the source line at fault.
    """
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    except Exception as err:
        where = tracer.open_modules[-1] if tracer.open_modules else type(model).__name__
        raise ExportError(
            f"cannot trace {where}: {_culprit(err)}. "
            "Write what depends on tensor values (if, loops, int()) as tensor operations."
        ) from err
    return fx.GraphModule(model, graph)


def node_keys(traced: fx.GraphModule) -> dict[fx.Node, str]:
    """Name every operation of a traced network (see the module's text); the network's input is `image`.

    What does nothing in evaluation (identity, dropout) has the name of what it passes on.
    """
    calls: dict[str, int] = {}
    keys: dict[fx.Node, str] = {}
    modules = dict(traced.named_modules())
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            keys[node] = INPUT
        elif node.op == "call_module" and isinstance(modules[node.target], PASSES):
            keys[node] = keys[node.args[0]]
        elif node.op == "call_module":
            count = calls.get(node.target, 0)
            calls[node.target] = count + 1
            keys[node] = node.target if count == 0 else f"{node.target}#{count}"
        elif node.op != "output":
            keys[node] = node.name
    return keys


class Recorder(fx.Interpreter):
    """Runs a traced network and hands every operation's result to a visitor.

    Args:
        traced: What `trace` returned.
        visit: Called once an operation with its name and its result, a float tensor that must not be changed.
    """

    def __init__(self, traced: fx.GraphModule, visit: Callable[[str, Tensor], None]) -> None:
        super().__init__(traced)
        self._keys = node_keys(traced)
        self._visit = visit

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation and show its result."""
        result = super().run_node(n)
        key = self._keys.get(n)
        passed_on = bool(n.args) and isinstance(n.args[0], fx.Node) and self._keys.get(n.args[0]) == key
        if key is not None and not passed_on and isinstance(result, Tensor) and result.is_floating_point():
            self._visit(key, result)
        return result


def record(traced: fx.GraphModule, x: Tensor) -> dict[str, Tensor]:
    """Return every operation's result for one input, by name, in the order of execution."""
    values: dict[str, Tensor] = {}

    def keep(key: str, value: Tensor) -> None:
        values[key] = value.detach().clone()  # a later operation may work in place

    with torch.no_grad():
        Recorder(traced, keep).run(x)
    return values


def _culprit(err: Exception) -> str:
    """The last source line outside torch, and what the error says."""
    frames = [f for f in traceback.extract_tb(err.__traceback__) if "/torch/" not in f.filename.replace("\\", "/")]
    line = next((f.line for f in reversed(frames) if f.line and f.name != "trace"), None)
    message = condensed(err)
    return f"`{line}`: {message}" if line else message
