"""Whether a run was made by the recipe as it is now: the doctor trains nothing, and would speak of other networks."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from edgeseg.pipeline.chain.chain import Step, needed_steps
from edgeseg.pipeline.plan.layout import CUT, SEARCH_FILE
from edgeseg.pipeline.plan.run import RecipeChain
from edgeseg.runtime.errors import ConfigError

Flat = dict[str, Any]


def check_made_by(chain: RecipeChain, names: Collection[str], remedy: str) -> None:
    """Hold what a run has against the keys that its recipe gives now, step by step.

    A step's parents are taken as they are, so that the first one that differs is named. What was measured on another
    machine has a key of that machine: of the search its budget is compared. Steps that are not there are no matter
    of this check.

    Args:
        chain: Of the recipe as it is now.
        names: Steps that are read.
        remedy: What to do, for the message.

    Raises:
        ConfigError: If one was made otherwise, with what is known of the difference.
    """
    needed = set().union(*(needed_steps(chain.steps, name) for name in names))
    known: dict[str, str] = {}
    for step in chain.steps:
        if step.name not in needed:
            continue
        key = known[step.name] = chain.key_of(step, known)
        stored = None if step.left_out is not None else chain.folder(step.name).key
        if stored in (None, key):
            continue
        differs = _of_search(step, chain) if "machine" in step.settings else _of_settings(step, chain)
        if differs is not None:
            raise ConfigError(f"{chain.root}: the step {step.name} {differs}; {remedy}")
        known[step.name] = stored


def _of_search(step: Step, chain: RecipeChain) -> str | None:
    """What a step that depends on the machine was made for, if that is another budget."""
    path, budget = chain.folder(CUT).files / SEARCH_FILE, chain.recipe.budget
    if step.name != CUT or budget is None or not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if (found["target"], found["budget"]) == (budget.target, budget.limits):
        return None
    limits = ",".join(f"{name}={value:g}" for name, value in found["budget"].items())
    return f"was cut to {limits} on {found['target']}, and the recipe asks for {budget} on {budget.target}"


def _of_settings(step: Step, chain: RecipeChain) -> str:
    """That the recipe gives it another key, and in what it differs from the run's last report, if that says."""
    changed = _changed(chain, step)
    said = f" ({', '.join(changed)})" if changed else ""
    return f"was made by another recipe, of other data or by another version of edgeseg{said}"


def _changed(chain: RecipeChain, step: Step) -> list[str]:
    try:
        report = json.loads((chain.root / "report.json").read_text(encoding="utf-8"))
        then, now = (_flat(one) for one in (report["recipe"]["settings"], chain.recipe.to_json()))
    except (OSError, ValueError, KeyError):
        return []
    sections = {"data", *step.settings}
    keys = [key for key in then if key in now and then[key] != now[key] and key.partition(".")[0] in sections]
    return [f"{key} was {then[key]} in its last report and is {now[key]}" for key in keys]


def _flat(settings: Mapping[str, Any]) -> Flat:
    flat: Flat = {}
    for section, value in json.loads(json.dumps(settings)).items():
        flat |= {f"{section}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {section: value}
    return flat
