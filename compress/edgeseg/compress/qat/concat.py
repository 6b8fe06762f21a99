"""With whose scale the parts of a concatenation are rounded in files that give all of them one.

The writer scales a part to the range of the concatenation where that costs nothing (`export.onnx.level`): it is rounded
as if its scale were its own. Any other part is rounded with the concatenation's, and so is what is resized or pooled to
become one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from torch import fx

from edgeseg.compress.graph.kinds import clamp_limit, is_depthwise, kind_of

Operation = Callable[[fx.Node], Any]  # what a node calls
Reading = tuple[fx.Node, fx.Node]  # an operation, and a tensor that it reads


def scales_of_parts(concat: fx.Node, operation: Operation) -> dict[Reading, fx.Node]:
    """Whose scale a tensor is rounded with where it is read, if not its own.

    Args:
        concat: A concatenation in integers, of a graph without roundings.
        operation: What a node calls.
    """
    readers = list(concat.users)
    scaled = len(readers) == 1 and is_depthwise(operation(readers[0]))
    found: dict[Reading, fx.Node] = {}
    for part in concat.all_input_nodes:
        path = _path(part, operation)
        if path and scaled:
            continue
        readings = [(concat, part), *itertools.pairwise(path)]
        found |= dict.fromkeys(readings, concat)
    return found


def _path(part: fx.Node, operation: Operation) -> list[fx.Node]:
    """From a part back to what a convolution, with its ReLU, makes; empty where others read it too."""
    path, node = [part], part
    while kind_of(operation(node)) in ("resize", "pool"):
        node = node.all_input_nodes[0]
        path.append(node)
    if clamp_limit(operation(node)) is not None:
        node = node.all_input_nodes[0]
    alone = all(len(one.users) == 1 for one in (*path, node))
    return path if alone and kind_of(operation(node)) in ("conv", "depthwise", "transposed") else []
