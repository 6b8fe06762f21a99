r"""What each option of distillation is worth on val: the step `student_distilled` under every option and seed.

    python benchmarks/networks/distill_ablation.py recipes/ultrasound.yaml --data DIR --out runs/ablation \
        --option calibrate=distill.calibrate=true --option flips=distill.calibrate=true,distill.flips=true

prints one JSON object: Dice on val by option and seed, and the difference to `plain`, the recipe as it is, paired by
seed. What options share is trained once a seed, in `OUT/seed_N`; options that change the teacher belong at the end.
What is done is kept in `OUT/ablation.json` and not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.pipeline.plan.run import make_chain, run_recipe
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.files.atomic import write_json

PLAIN = "plain"
STEP, SCORE = "student_distilled", "val_student_distilled"


def options_of(words: Sequence[str]) -> dict[str, list[str]]:
    """Settings by option, from `NAME=key=value,key=value`; `plain` comes first and has none.

    Raises:
        ConfigError: If a word is no such thing, or a name is given twice.
    """
    found: dict[str, list[str]] = {PLAIN: []}
    for word in words:
        name, _, settings = word.partition("=")
        if not settings or name in found:
            raise ConfigError(f"--option is {word!r}; write another name and settings, NAME=distill.calibrate=true")
        found[name] = settings.split(",")
    return found


def score(asked: argparse.Namespace, settings: Sequence[str], seed: int, known: dict[str, Any]) -> dict[str, Any]:
    """One option under one seed: from `known`, by the key of the step's result, or by running the chain up to it."""
    recipe = load_recipe(asked.recipe, [*settings, f"train.seed={seed}"])
    out = asked.out / f"seed_{seed}"
    key = make_chain(recipe, asked.data, out).keys()[SCORE]
    if key not in known:
        records = run_recipe(recipe, asked.data, out, only=SCORE).chain.records
        found = records[SCORE]["result"]
        if found["status"] != "ok":
            raise EdgesegError(f"{SCORE} under {', '.join(settings) or PLAIN}, seed {seed}: {found['reason']}")
        taught = records[STEP]
        known[key] = {
            "dice": found["summary"]["dice_mean"],
            "asked": taught["result"].get("asked"),
            "wall_s": taught["wall_s"],
        }
        write_json(asked.out / "ablation.json", known)
    done: dict[str, Any] = known[key]
    return done


def table(rows: dict[str, dict[int, dict[str, Any]]]) -> dict[str, Any]:
    """Mean Dice of each option, and its differences to `plain` seed by seed [points of Dice]."""
    found = {}
    for name, by_seed in rows.items():
        drops = [100 * (one["dice"] - rows[PLAIN][seed]["dice"]) for seed, one in by_seed.items()]
        found[name] = {
            "dice": {str(seed): round(one["dice"], 4) for seed, one in by_seed.items()},
            "mean": round(statistics.mean(one["dice"] for one in by_seed.values()), 4),
            "points_against_plain": [round(one, 2) for one in drops],
            "mean_points_against_plain": round(statistics.mean(drops), 2),
            "wall_s": round(sum(one["wall_s"] for one in by_seed.values()), 1),
            "asked": [one["asked"] for one in by_seed.values()],
        }
    return found


def main() -> int:
    """Run what is not done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--option", action="append", default=[], metavar="NAME=key=value,key=value")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="key=value")
    asked = parser.parse_args()
    record = asked.out / "ablation.json"
    try:
        options = options_of(asked.option)
        known = json.loads(record.read_text()) if record.is_file() else {}
        asked.out.mkdir(parents=True, exist_ok=True)
        rows: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in options}
        for seed in asked.seeds:
            for name, settings in options.items():
                rows[name][seed] = score(asked, [*asked.settings, *settings], seed, known)
                print(f"seed {seed}, {name}: Dice {rows[name][seed]['dice']:.4f} on val", file=sys.stderr)  # noqa: T201
    except EdgesegError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201
        return 2
    print(json.dumps(table(rows), indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
