"""The order of the chain, and what each step depends on."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from edgeseg.pipeline.chain.chain import Chain, Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.beside import Here, OwnFiles
from edgeseg.pipeline.plan.layout import CHOICES, QAT, REFERENCE_FILES, asked_rows, score_step
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.variants import VARIANTS
from edgeseg.pipeline.recipe.recipe import (
    BenchSection,
    DistillSection,
    StudentSection,
    TrainSection,
    load_recipe,
)
from edgeseg.pipeline.recipe.sections.export import Also, RangesSection
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.recipe.sections.reference import ReferenceSection
from edgeseg.pipeline.recipe.sections.teacher import TeacherSection
from edgeseg.pipeline.search.networks import recipe_of
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.input_spec import Geometry

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def _steps(*assignments: str) -> dict[str, Step]:
    return {step.name: step for step in plan_steps(load_recipe(RECIPES[0], assignments))}


ROWS_ASKED = asked_rows(())  # of a recipe that asks for nothing beside


def _ancestors(name: str, steps: dict[str, Step]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for parent in steps[waiting.pop()].parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_plans_parents_before_children(path: Path) -> None:
    seen: set[str] = set()
    for step in plan_steps(load_recipe(path)):
        assert set(step.parents) <= seen, step.name
        seen.add(step.name)
    assert {score_step(row, split) for row in ROWS_ASKED for split in ("val", "test")} <= seen


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_step_names_a_function_that_is_there(path: Path) -> None:
    """Their modules are imported only when a step runs, so nothing else would tell before."""
    for step in plan_steps(load_recipe(path)):
        module, function = step.module.split(":")
        spec = importlib.util.find_spec(module)
        assert spec is not None and spec.origin is not None, step.module
        names = {
            node.name for node in ast.parse(Path(spec.origin).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert function in names, step.module


def test_test_is_scored_after_what_ships_is_fixed_and_decides_nothing() -> None:
    steps = _steps()
    for row in ROWS_ASKED:
        assert "ship" in steps[score_step(row, "test")].parents
    for name in ("choose_student", "choose_final", "ship", "student_pruned"):
        assert not any(other.startswith("test_") for other in _ancestors(name, steps)), name


def test_the_baseline_feeds_no_training_but_as_the_fallback_that_choose_student_names() -> None:
    steps = _steps()
    assert "student_alone" not in _ancestors("student_distilled", steps)
    assert "choose_student" in steps["student_pruned"].parents


def test_settings_reach_only_the_steps_that_use_them() -> None:
    before, after = _steps(), _steps("distill.alpha=0.123")
    changed = {name for name in before if before[name].settings != after[name].settings}
    assert changed == {"student_distilled", "student_pruned", "bundle", "report"}


# What a step may be handed as a dataclass, and how it is read back.
SECTIONS = {
    **{"train": TrainSection, "teacher": TeacherSection, "student": StudentSection, "distill": DistillSection},
    **{"reference": ReferenceSection, "bench": BenchSection, "gates": GateSection, "geometry": Geometry},
    **{"quantize": RangesSection},
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_step_reads_its_sections_as_the_recipe_has_them_and_no_other(path: Path) -> None:
    recipe = load_recipe(path)
    short = dataclasses.replace(recipe.train, precision="float32", validate_every=1, patience=0)
    for_int8 = {"train": short, "distill": recipe.distill.of_itself()}
    for step in plan_steps(recipe):
        context = StepContext(step, path, path, StepFolder(path), {}, {}, lambda share, words: None)
        for name, cls in SECTIONS.items():
            if name not in step.settings:
                with pytest.raises(KeyError, match=f"step '{step.name}' reads '{name}'"):
                    context.section(name, cls)
                continue
            whole = {
                "quantize": recipe.quantize.of_ranges(),
                "gates": recipe.gates.of_choices() if step.name in CHOICES else recipe.gates,
                **(for_int8 if step.name == QAT else {}),
            }.get(name) or getattr(recipe, name)
            assert context.section(name, cls) == whole, step.name


def test_a_step_cannot_reach_the_recipe_but_by_its_settings() -> None:
    """Steps may import a recipe's sections, to read theirs; not the recipe, nor what reads one."""
    for path in sorted((ROOT / "pipeline/edgeseg/pipeline/steps").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgeseg.pipeline.recipe"):
                names = {one.name for one in node.names}
                assert all(name.endswith(("Section", "RecipeIdentity")) for name in names), f"{path}: {names}"
            if isinstance(node, ast.Attribute):
                assert node.attr != "recipe", f"{path}:{node.lineno}"


def test_distillation_depends_on_the_images_without_masks() -> None:
    recipe = load_recipe(RECIPES[0], ["distill.unlabelled=line_3"])
    plans = [{one.name: one for one in plan_steps(recipe, own=OwnFiles(unlabelled_sha256=its))} for its in ("1a", "2b")]
    changed = {name for name in plans[0] if plans[0][name].settings != plans[1][name].settings}
    assert changed == {"student_distilled", "student_pruned"}


@pytest.mark.parametrize("more", ["teacher.seeds=2", "distill.flips=true", "distill.teacher=mine:net"])
def test_the_choice_knows_that_more_than_the_row_teaches(more: str) -> None:
    assert _steps()["choose_student"].settings["row_teaches"]
    assert not _steps(more)["choose_student"].settings["row_teaches"]


def test_ranges_depend_on_the_images_of_a_folder() -> None:
    recipe = load_recipe(RECIPES[0], ["quantize.folder=line_3"])
    plans = [
        {one.name: one for one in plan_steps(recipe, own=OwnFiles(calibration_sha256=its))} for its in ("1a", "2b")
    ]
    changed = {name for name in plans[0] if plans[0][name].settings != plans[1][name].settings}
    assert changed == {"ranges", "target", "student_pruned"}
    assert "folder" not in plans[0]["ranges"].settings["quantize"]


def test_training_for_int8_is_a_step_where_it_is_asked_for_and_feeds_every_int8_file() -> None:
    plain, asked = _steps(), _steps("quantize.qat={}")
    assert asked.keys() - plain.keys() == {"student_qat"} and "onnx_fp32" in asked["student_qat"].parents
    changed = {name for name in plain if plain[name].parents != asked[name].parents}
    assert changed == {"onnx_int8", "onnx_s8", "tflite_int8", "openvino_int8", "report"}
    assert "tflite_fp32" in _steps("quantize.qat.target=x86-litert")["student_qat"].parents
    settings = asked["student_qat"].settings
    assert (settings["train"]["precision"], settings["train"]["validate_every"]) == ("float32", 1)
    # No search trains for INT8, nor is it any other one's because of that.
    assert plain["student_pruned"].settings == asked["student_pruned"].settings
    floats = _steps("quantize.qat={}", "quantize.float_paths=[head]")["student_qat"]
    assert floats.settings != settings, "a layer kept in float is not trained to be rounded"
    hinted = _steps("quantize.qat={}", "distill.views=0", "distill.hint_weight=1.0", "distill.alpha=0.0")[
        "student_qat"
    ].settings
    assert hinted["distill"]["hint_weight"] == 0.0, "features of a rounding network have no names to hint at"


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from edgeseg.pipeline.recipe.recipe import load_recipe; from edgeseg.pipeline.plan.plan import plan_steps\n"
        "import edgeseg.pipeline.plan.run\n"
        f"plan_steps(load_recipe(Path({str(RECIPES[0])!r})))\n"
        "heavy = {'torch', 'monai', 'lightning', 'onnx', 'onnxruntime', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "setting",
    ["fit.gate_batches=3", "budget.macs_ratio=0.5", "fit.margin=0.1", "bench.threads=1", "quantize.images=16"],
)
def test_the_search_depends_on_all_it_reads(setting: str) -> None:
    before, after = _steps(), _steps(setting)
    assert before["student_pruned"].settings != after["student_pruned"].settings
    assert before["student_distilled"].settings == after["student_distilled"].settings


def test_the_search_reads_nothing_that_it_does_not_depend_on() -> None:
    """What it is handed is a recipe in which all else is as if it were not said."""
    others = ("gates.max_dice_drop=0.9", "quantize.float_paths=[head]", "teacher.epochs=3", "bench.seconds=9", "name=x")
    others += ("previous_bundle=x-0123456789abcdef",)
    before, after = _steps(), _steps(*others)
    assert before["student_pruned"].settings == after["student_pruned"].settings
    context = StepContext(before["student_pruned"], ROOT, ROOT, StepFolder(ROOT), {}, {}, lambda share, words: None)
    assert recipe_of(context) == load_recipe(RECIPES[0]).of_search()


def test_a_budget_in_time_is_of_one_machine() -> None:
    recipes = [load_recipe(RECIPES[0], [f"budget={{target: x86-ort, {limit}}}"]) for limit in ("macs: 9", "speedup: 2")]
    keys = {
        str(dict(next(one for one in plan_steps(recipe, here=Here(machine)) if one.name == "student_pruned").settings))
        for recipe in recipes
        for machine in ({"cpu": "a"}, {"cpu": "b"})
    }
    assert len(keys) == 4  # `plan.run` hands no machine over where nothing is timed


def test_what_is_not_asked_for_is_left_out_with_its_reason() -> None:
    steps = _steps("budget=null", "fit.student=student_alone")
    left_out = {name: step.left_out for name, step in steps.items() if step.left_out}
    assert left_out == {
        "student_distilled": "fit.student names student_alone",
        "student_pruned": "the recipe has no budget, such as {target: x86-ort, macs_ratio: 0.65}, so nothing is cut",
    }
    assert "target" not in steps and list(_steps())[:2] == ["reference", "target"]  # before hours of training


def test_the_reference_depends_on_no_training_and_decides_what_everything_is_timed_beside(tmp_path: Path) -> None:
    """Of other keys the results are made anew."""
    compared = {"reference", *REFERENCE_FILES.values()}

    def keys(*assignments: str) -> dict[str, str]:
        recipe = load_recipe(RECIPES[0], assignments)
        return Chain(plan_steps(recipe), tmp_path, tmp_path, "data").keys()

    before = keys()
    taught = keys("teacher.base=8", "teacher.epochs=3", "train.seed=5", "student.width=0.25")
    assert {name for name in compared if before[name] != taught[name]} == set() and before["bench"] != taught["bench"]
    wider = keys("reference.base=24")
    changed = {name for name in before if before[name] != wider[name]}
    assert changed >= compared | {"bench", "ship", "bundle", "report"}
    assert not changed & {"teacher", "student_alone", "student_distilled", "student_pruned", "target", "onnx_int8"}


def test_a_ratio_as_budget_is_one_to_the_reference_and_is_looked_at_before_any_training() -> None:
    trained = {"teacher", "student_alone", "student_distilled"}
    for limit, compared in (("speedup: 2", {"reference"}), ("latency_ms: 2", set()), ("macs_ratio: 0.5", set())):
        steps = _steps(f"budget={{target: x86-ort, {limit}}}")
        assert _ancestors("target", steps) == compared, limit
        assert set(steps["student_pruned"].parents) & {"reference"} == compared
        assert list(steps).index("target") < min(list(steps).index(name) for name in trained)


def test_every_engine_times_the_reference_and_one_file_more_than_the_rows_there_are() -> None:
    timed = [row.file for row in ROWS_ASKED if row.not_timed is None]
    assert _steps()["bench"].parents == (*timed, *REFERENCE_FILES.values())
    assert len(timed) + len(REFERENCE_FILES) == 13
    assert not [name for name in _steps() if name.endswith("_reference")]  # it is scored on nothing


def test_what_is_said_of_the_data_reaches_scores_bundle_and_report_and_no_training() -> None:
    recipe = load_recipe(RECIPES[0])
    told = {"name": "x", "pixel_mm": 0.1, "licence": "CC0", "may_redistribute": True}
    plans = [
        {one.name: one for one in plan_steps(recipe, about=told | change)}
        for change in ({}, {"may_redistribute": False}, {"pixel_mm": 0.2})
    ]
    changed = [{name for name in plans[0] if plans[0][name].settings != plan[name].settings} for plan in plans[1:]]
    assert changed[0] == {"bundle", "report"}
    scores = {score_step(row, split) for row in ROWS_ASKED for split in ("val", "test")}
    assert changed[1] == {"bundle", "report"} | scores


def test_further_files_are_made_where_a_recipe_asks_and_change_nothing_of_the_others() -> None:
    also = get_args(Also)
    before, after = _steps(), _steps(f"export.also={list(also)}")
    files = {one.step for one in VARIANTS if one.name in also}
    made = files | {"extremes"} | {f"{split}_{name}" for name in files for split in ("val", "test")}
    assert set(after) - set(before) == made and set(before) <= set(after)
    changed = {name for name in before if before[name].settings != after[name].settings}
    assert changed == {"bundle", "report"}, "they hold the recipe"
    assert files <= set(after["ship"].parents)
    assert set(after["bench"].parents) - set(before["bench"].parents) == files - {"onnx_fp16"}, (
        "x86 has no FP16 kernels"
    )
    # What is not INT8 is made of the network as it was trained, and of ranges that cut nothing off.
    other = _steps(
        f"export.also={list(also)}", "quantize.method=mse", "quantize.network=equalized", "quantize.float_paths=[head]"
    )
    quantize = other["extremes"].settings["quantize"]
    assert (quantize["method"], quantize["network"]) == ("minmax", "plain")
    assert {name for name in files if other[name].settings["ranges"] != "extremes"} == set()
    assert {name: other[name].settings["float_paths"] for name in sorted(files)} == {
        "onnx_fp16": [],
        "tflite_dynamic": ["head"],
        "tflite_fp16": [],
        "tflite_int16x8": ["head"],
    }


def test_a_file_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"export\.also.*onnx-fp61.*onnx-fp16"):
        load_recipe(RECIPES[0], ("export.also=[onnx-fp61]",))
