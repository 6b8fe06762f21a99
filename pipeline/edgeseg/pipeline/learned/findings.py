"""What a run has to warn of: networks that have learned nothing, trainings that ended too early, a val that is mute.

The only place where this is decided, for runs and the folds of `crossval`; from what they have recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.pipeline.learned.curve import Curve, read_curve
from edgeseg.pipeline.recipe.sections.gates import LEAST_SKILL

# Of these kinds is what says that a network has learned nothing, or that nothing shows that it has.
NOTHING = ("no_foreground_in_val", "one_class_everywhere", "no_skill")

_FEW_IMAGES = 5

# Settings of a training: how long, how fast.
_SETTINGS = {
    "teacher": ("teacher.epochs", "teacher.learning_rate"),
    "student_alone": ("student.epochs", "student.learning_rate"),
    "student_distilled": ("student.epochs", "student.learning_rate"),
    "final": ("fit.final_epochs", "fit.learning_rate"),
}
_FROM_SCRATCH = ("teacher", "student_alone", "student_distilled")
_LOOK_AT_DATA = "hold masks against images (edgeseg data check shows the share of each class; are they inverted?)"

Row = Mapping[str, Any]
Histories = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Finding:
    """One warning.

    Attributes:
        kind: A fixed word, for scripts.
        step: Row or training it is about; None where it is about the data.
        message: What was found, with its figures.
        remedy: What to change.
    """

    kind: str
    step: str | None
    message: str
    remedy: str


def warnings_of(
    rows: Sequence[Row], histories: Histories, min_skill: float | None, constant_dice: float | None
) -> list[dict[str, Any]]:
    """All warnings of a run, the gravest first.

    Args:
        rows: `name parent kind skill`, parents before children; `skill` as `skill.skill_of` returns it, or None where
            a row was not scored.
        histories: Rows `epoch val_dice` by name of the training.
        min_skill: The gate `gates.min_skill`; where it is off, its default tells what has learned nothing.
        constant_dice: From `constant_mask.constant_mask_dice`.

    Returns:
        Dicts `kind step message remedy`, for JSON.
    """
    least = LEAST_SKILL if min_skill is None else min_skill
    curves = {name: read_curve(history) for name, history in histories.items()}
    skills = {str(row["name"]): row["skill"] for row in rows if row.get("skill")}
    found = list(_of_val(next(iter(skills.values())))) if skills else []
    told: dict[str, set[str]] = {}
    for row in _that_matter(rows):
        name, parent = str(row["name"]), str(row.get("parent"))
        if name not in skills:
            continue
        of_row = list(_of_masks(name, skills[name], curves.get(name), least, constant_dice))
        # What is made of a network, by pruning or for an engine, is not told again what is told of that network.
        inherited = told.get(parent, set()) if parent != "teacher" else set()
        found += [one for one in of_row if one.kind not in inherited]
        told[name] = {one.kind for one in of_row} | inherited
    unlearned = {one.step for one in found if one.kind in NOTHING}
    for name, curve in curves.items():
        found += _of_curve(name, curve, unlearned=name in unlearned)
    return [asdict(one) for one in sorted(found, key=lambda one: one.kind not in NOTHING)]


def _that_matter(rows: Sequence[Row]) -> list[Row]:
    """The teacher, and what leads to a file that could ship: of a student that did not go on nothing depends."""
    parents = {str(row["name"]): row.get("parent") for row in rows}
    wanted = {"teacher"}
    for row in rows:
        name: Any = row["name"] if row.get("kind") == "variant" else None
        while name in parents and name not in wanted:
            wanted.add(str(name))
            name = parents[name]
    return [row for row in rows if row["name"] in wanted]


def nothing_learned(warnings: Iterable[Row]) -> bool:
    """Whether one of the warnings says that a network has learned nothing."""
    return any(one.get("kind") in NOTHING for one in warnings)


def skill_refusal(skill: Mapping[str, Any] | None, min_skill: float | None) -> str | None:
    """Why a file has not learned enough to ship, or None.

    Args:
        skill: Of the file on val, as `skill.skill_of` returns it; None where it was not scored.
        min_skill: The gate; None switches it off.
    """
    if min_skill is None or skill is None:
        return None
    if skill["value"] is None:
        return f"{_mute(skill)}, so nothing shows that it has learned anything (gates.min_skill)"
    if skill["value"] >= min_skill:
        return None
    return f"it has learned nothing: {_beside(skill)}; gates.min_skill asks for a skill of {min_skill:g}"


def _of_val(skill: Row) -> Iterator[Finding]:
    split = "give val images that hold every class: `split` in meta.csv, or another data.seed where there is none"
    if skill["value"] is None:
        yield Finding("no_foreground_in_val", None, f"{_mute(skill)}: every choice was made on nothing", split)
        return
    if skill["n_positive"] < _FEW_IMAGES or skill["n_groups"] < 2:
        size = f"{skill['n_positive']} images with foreground in {skill['n_groups']} group(s)"
        message = f"val has {size}: too few to tell two networks apart, so every choice is near chance"
        yield Finding("val_too_small", None, message, "give more images to val, or use edgeseg crossval")
    for name, count in list(skill["images_with"].items())[1:]:
        if not count:
            message = f"no mask of val has the class {name}: nothing was decided on it, and its Dice says nothing"
            yield Finding("class_not_in_val", None, message, split)


def _of_masks(
    name: str, skill: Row, curve: Curve | None, least: float, constant_dice: float | None
) -> Iterator[Finding]:
    if skill["value"] is None:
        return
    predicted = {key for key, share in skill["predicted_share"].items() if share}
    remedy = _remedy(name, curve)
    if len(predicted) == 1:
        message = f"every pixel of val is {predicted.pop()!r} in its masks; {_beside(skill)}"
        yield Finding("one_class_everywhere", name, message, remedy)
        return
    if skill["value"] < least:
        yield Finding("no_skill", name, f"it has learned nothing: {_beside(skill)}", remedy)
    elif constant_dice is not None and skill["dice"] < constant_dice + least * (1.0 - constant_dice):
        message = (
            f"val Dice {skill['dice']:.3f} is hardly above the {constant_dice:.3f} of one and the same mask for every "
            "image (the most frequent one of train): it may not look at the image"
        )
        yield Finding("no_better_than_one_mask", name, message, f"{_LOOK_AT_DATA}, and vary where objects lie")
    lost = [key for key, count in list(skill["images_with"].items())[1:] if count and key not in predicted]
    if lost:
        message = f"it never predicts {', '.join(lost)} on val, which has {'it' if len(lost) == 1 else 'them'}"
        rare = "more images with it, more epochs, or a loss that weighs rare classes (train.loss)"
        yield Finding("class_never_predicted", name, message, rare)


def _of_curve(name: str, curve: Curve, *, unlearned: bool) -> Iterator[Finding]:
    epochs, rate = _settings(name)
    if curve.end == "short" and name in _FROM_SCRATCH and not unlearned:
        message = f"{curve.words}: whether the training had come to its end cannot be seen"
        yield Finding("curve_too_short", name, message, f"raise {epochs}, or lower train.validate_every")
    if curve.end == "rising":
        yield Finding("still_rising", name, curve.words, f"it was stopped too early: raise {epochs}")
    if curve.end == "flat" and unlearned:
        yield Finding("never_moved", name, curve.words, f"try another {rate}, up and down")


def _remedy(name: str, curve: Curve | None) -> str:
    epochs, rate = _settings(name)
    if curve is None:
        return "it is the export that lost it: edgeseg doctor int8 says where"
    if curve.end in ("short", "rising"):
        return f"train longer (raise {epochs}; so far {curve.epochs}); if that does not help, {_LOOK_AT_DATA}"
    other = "" if curve.end == "flat" else f"another {rate}, "
    return f"{_LOOK_AT_DATA}; then try {other}more images, or larger objects (geometry)"


def _settings(name: str) -> tuple[str, str]:
    return _SETTINGS.get(name, _SETTINGS["final"])


def _beside(skill: Row) -> str:
    """`val Dice 0.050, where "crack" on every pixel has 0.038`."""
    return f"val Dice {skill['dice']:.3f}, where {skill['trivial']!r} on every pixel has {skill['trivial_dice']:.3f}"


def _mute(skill: Row) -> str:
    share = skill["truth_share"]
    of = max(share, key=lambda name: share[name])
    return f"all {skill['n_images']} masks of val are {of!r} on every pixel"
