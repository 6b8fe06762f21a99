"""Architecture JSON with other channel widths, by the module paths that `prune` takes: no network has to be built."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from edgeseg.runtime.errors import ConfigError

Arch = dict[str, Any]


def with_widths(arch: Arch, widths: Mapping[str, int]) -> Arch:
    """The architecture that `prune` would leave.

    Args:
        arch: Of one of `MODELS`; not changed.
        widths: Output channels by module path of a convolution, such as `{"blocks.2.0.conv_pw": 96}`. Layers that an
            addition joins must all be named (a `Group` of `groups` holds them together).

    Raises:
        ConfigError: For a path that is no convolution with a width of its own.
    """
    changed = copy.deepcopy(arch)
    setter = _SETTERS[arch["name"]]
    for path, width in widths.items():
        try:
            setter(changed, path.split("."), width)
        except (KeyError, IndexError, ValueError) as err:
            raise ConfigError(f"{path!r} has no width of its own in a {arch['name']}; name a convolution") from err
    if arch["name"] == "efficient_unet":
        _follow(changed)
    return changed


def _set_efficient_unet(arch: Arch, path: list[str], width: int) -> None:
    if path == ["conv_stem"]:
        arch["stem"] = width
    elif path[0] == "blocks" and path[3] in ("conv_pw", "conv_pwl"):
        block = arch["blocks"][int(path[1])][int(path[2])]
        block["mid" if block["expand"] and path[3] == "conv_pw" else "out"] = width
    elif path[0] == "decoder":
        level = arch["decoder"][int(path[1])]
        level[{"reduce": "reduce", "merge.conv_pw": "out"}[".".join(path[2:])]] = width
    else:
        raise KeyError(path[0])


def _follow(arch: Arch) -> None:
    """A block that does not expand is as wide inside as what it reads."""
    width = arch["stem"]
    for stage in arch["blocks"]:
        for block in stage:
            if not block["expand"]:
                block["mid"] = width
            width = block["out"]


def _set_unet(arch: Arch, path: list[str], width: int) -> None:
    index, levels = int(path[1]), len(arch["up"])
    if path[0] == "up" and len(path) == 2:
        arch["up"][levels - 1 - index] = width
    elif path[0] in ("down", "merge") and path[3:] == ["0"]:
        pair = arch["encoder"][index] if path[0] == "down" else arch["decoder"][levels - 1 - index]
        pair[int(path[2])] = width
    else:
        raise KeyError(path[0])


_SETTERS: dict[str, Callable[[Arch, list[str], int], None]] = {
    "efficient_unet": _set_efficient_unet,
    "unet": _set_unet,
}
