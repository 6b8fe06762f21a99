"""The section `prune`, which recipes had once: a ratio of channels is a budget now, and how far to go is `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.runtime.errors import ConfigError

_RATIO = 0.3  # what was taken where a recipe gave none


def refuse_prune(values: Mapping[str, Any]) -> None:
    """Say what to write in the place of a recipe's section `prune`.

    Args:
        values: Decoded YAML of a recipe.

    Raises:
        ConfigError: If the section is there.
    """
    if "prune" not in values:
        return
    section = values["prune"]
    said = dict(section) if isinstance(section, Mapping) else {}
    ratio = said.get("ratio")
    kept = 1.0 - (ratio if isinstance(ratio, float) and 0.0 < ratio < 1.0 else _RATIO)
    fit = {"way": f"{said.get('importance', 'group_l2')}-widths"}
    fit |= {key: said[key] for key in ("rounds", "round_epochs", "final_epochs", "learning_rate") if key in said}
    words = ", ".join(f"{key}: {value}" for key, value in fit.items())
    raise ConfigError(
        "prune is no section any more, for how much goes is a budget; write in its place "
        # Both ends of a convolution lose their share, so its work shrinks by the square.
        f"`budget: {{target: x86-ort, macs_ratio: {kept**2:.2g}}}` and "
        f"`fit: {{{words}, final_seeds: 1, baselines: []}}` (more seeds and baselines take longer and prove more)"
    )
