"""`edgeseg`: commands, exit codes, what goes to stdout and what to stderr, and that looking imports nothing heavy."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline import cli
from edgeseg.pipeline.plan import run
from edgeseg.pipeline.plan.outcome import Outcome
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.runtime.errors import BackendError, GateError

HEAVY = ("torch", "monai", "lightning", "onnx", "onnxruntime", "litert_torch", "torch_pruning", "numpy", "cv2", "yaml")

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 6, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
"""


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def words(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path


# The command line itself


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "run", "fit", "crossval", "init", "data check", "verify", "evaluate", "predict"),
        *("doctor", "doctor int8", "doctor delegates"),
        *("bench run", "bench compare", "bench env"),
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = edgeseg(*command.split(), "--help")
    assert done.exit_code == 0 and f"Example: edgeseg {command}" in words(done.stdout)


def test_a_step_of_the_chain_is_no_command() -> None:
    assert edgeseg("teacher", "demo").exit_code == 2 and "Stop after this step" in words(
        edgeseg("run", "--help").stdout
    )


def test_help_states_defaults_and_groups_commands() -> None:
    text = words(edgeseg("run", "--help").stdout)
    assert "[default: runs]" in text and "[default: images]" in text and "Default: found by" in text
    text = words(edgeseg("--help").stdout)
    assert "The chain" in text and "student_distilled" not in text
    assert edgeseg().exit_code == 2


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_wait_unless_told_otherwise(
    given: str | None, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    edgeseg("data", "check", tmp_path)
    assert os.environ["OMP_WAIT_POLICY"] == kept


def test_version() -> None:
    assert edgeseg("--version").stdout.startswith("edgeseg 0.")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "none.yaml"], 2, "'none.yaml' is no file"),
        (["run", "demo", "--set", "teacher.epoch=3"], 2, "did you mean 'epochs'"),
        (["run", "demo", "--set", "teacher"], 2, "is not of the form key=value"),
        (["run", "demo", "--data", "nowhere"], 2, "--data nowhere is no folder"),
        (["run", "demo", "--only", "fly"], 1, "step 'fly' is unknown; known are reference, target, teacher, "),
        (["run"], 2, "Missing argument"),
        (["run", "demo", "--delegate", "gpu"], 2, "--delegate gpu is of a device: name it with --on, or leave"),
        (["fit", "demo", "--wheel", "w.whl"], 2, "--wheel w.whl is of a device"),
        (["run", "demo", "--offline", "wheels", "--meter", "auto"], 2, "--offline wheels is of a device"),
        (["run", "demo", "--benchmark-model", "b"], 2, "--benchmark-model b is of a device"),
        (["run", "demo", "--fast"], 2, "No such option"),
        (["fly"], 2, "No such command"),
        (
            ["fit", "demo", "--budget", "latency_ms=2", "--set", "budget=null"],
            2,
            "--target is None; use one of x86-ort",
        ),
        (["fit", "demo", "--target", "x86-ort", "--set", "budget=null"], 2, "give --budget latency_ms=2"),
        (["fit", "demo", "--target", "x86-ort", "--budget", "latency=2"], 2, "'latency' is no limit"),
        (["fit", "demo", "--set", "fit.rounds=0"], 2, "fit.rounds is 0; set it to 1 or more"),
        (["crossval", "demo", "--folds", "2"], 2, "--folds is 2; use 3 or more"),
        (["crossval", "demo", "--way", "magic"], 2, "--way is 'magic'; known are group_l2-depth"),
        (["crossval", "demo", "--max-drop", "-1"], 2, "--max-drop is -1; it is a share of Dice"),
        (["crossval", "demo", "--target", "x86-ort", "--set", "budget=null"], 2, "give --budget latency_ms=2"),
        (["init", "nowhere"], 1, "no such folder"),
        (["verify", "none.edgeseg"], 1, "none.edgeseg"),
        (["evaluate", "none.edgeseg", "--data", "d", "--split", "tset"], 2, "--split is 'tset'"),
        (["evaluate", "none.edgeseg"], 2, "Missing option"),
        (["predict", "none.edgeseg", "--out", "masks"], 2, "Missing argument"),
        (["bench", "run", "none.edgeseg"], 1, "no such file"),
        (["bench", "fly"], 2, "No such command"),
    ],
)
def test_exit_codes_and_messages(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = edgeseg(*arguments)
    assert done.exit_code == code, done.stderr
    assert message in words(done.stderr) and done.stdout == "" and "Traceback" not in done.stderr


# Running the chain, with its work replaced


def stub(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> list[dict[str, Any]]:
    """Replace `run_recipe`; returns the keyword arguments of its calls."""
    calls: list[dict[str, Any]] = []

    def run_recipe(recipe: Any, data: Any, out: Path, progress: Any, **options: Any) -> Any:
        calls.append({"recipe": recipe, "data": data, "out": out, **options})
        progress("teacher", 0.5, "epoch 1/2")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(run, "run_recipe", run_recipe)
    return calls


def result(
    report: dict[str, Any] | None, *, gate_failed: bool = False, stopped: Outcome | None = None
) -> run.RunResult:
    root = Path("runs/tiny")
    chain = run.ChainRun(ran=["teacher"], reused=["ship"])
    bundle = None if gate_failed or report is None else root / "tiny.edgeseg"
    return run.RunResult(report, root / "report.json", root / "report.html", bundle, gate_failed, chain, stopped)


REPORT = {
    "steps": [{"name": "teacher", "status": "ok", "parent": None, "reason": None, "refused_for": {}}],
    "shipped": {"step": "onnx_int8", "variant": "onnx-int8-x86", "target": "x86-ort", "reason": "fastest"},
    "total_wall_s": 200.0,
}


def test_run_prints_table_and_paths(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub(monkeypatch, result(REPORT))
    done = edgeseg("run", recipe, "--out", "elsewhere", "--set", "teacher.epochs=2", "--no-images")
    assert done.exit_code == 0
    for text in ("teacher", "ships: onnx-int8-x86", "runs/tiny/report.html", "runs/tiny/tiny.edgeseg", "3 min 20 s"):
        assert text in done.stdout
    assert "teacher: epoch 1/2" in done.stderr and "epoch" not in done.stdout
    (call,) = calls
    assert call["recipe"].teacher.epochs == 2 and call["out"] == Path("elsewhere")
    assert call["only"] is None and call["images"] is False
    assert call["command"] == f"edgeseg run {recipe} --set teacher.epochs=2"


def test_json_is_all_that_is_on_stdout(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, result(REPORT))
    found = json.loads(edgeseg("run", recipe, "--json").stdout)
    assert found["report"] == REPORT and found["bundle"] == "runs/tiny/tiny.edgeseg" and not found["gate_failed"]


def test_a_failed_gate_is_exit_code_3_and_the_table_is_there(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, result(REPORT | {"shipped": {"step": None, "reason": "none"}}, gate_failed=True))
    done = edgeseg("run", recipe)
    assert done.exit_code == 3 and "ships: nothing (none)" in done.stdout and "a gate failed" in done.stdout


def test_what_ships_beyond_the_budget_is_exit_code_3(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "plan_steps", fake_steps(tmp_path, monkeypatch))
    monkeypatch.setenv("OVER_BUDGET", "bytes is 9")
    for command in (["run", recipe], ["fit", recipe, "--target", "x86-ort", "--budget", "bytes=8"]):
        done = edgeseg(*command, "--out", tmp_path / "runs")
        assert done.exit_code == 3 and "a gate failed: what ships is beyond the budget" in words(done.stdout)
        assert (tmp_path / "runs" / "tiny" / "tiny.edgeseg").read_bytes() == b"bundle", "it ships all the same"


def test_only_stops_after_a_step(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub(monkeypatch, result(None, stopped=Outcome("student_pruned")))
    done = edgeseg("run", recipe, "--only", "student_pruned", "--data", "d")
    assert calls[0]["only"] == "student_pruned" and calls[0]["data"] == Path("d")
    assert done.exit_code == 0 and "student_pruned: done" in done.stdout


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome("onnx_int8", "failed", "a scale of 0"), 1),
        (Outcome("ship", "refused", "no variant holds all budgets"), 3),
        (Outcome("student_pruned", "not measured", "the recipe has no budget"), 0),
    ],
)
def test_only_says_how_the_step_ended(
    outcome: Outcome, code: int, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, result(None, stopped=outcome))
    done = edgeseg("run", recipe, "--only", outcome.step)
    assert done.exit_code == code and f"{outcome.step}: {outcome.status}: {outcome.reason}" in words(done.stdout)
    done = edgeseg("run", recipe, "--only", outcome.step, "--json")
    assert done.exit_code == code and json.loads(done.stdout)["stopped"] == dataclasses.asdict(outcome)


def test_a_budget_takes_the_place_of_the_recipe_s(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub(monkeypatch, result(REPORT))
    for command in ("run", "fit"):
        assert edgeseg(command, recipe, "--target", "x86-ort", "--budget", "bytes=9000").exit_code == 0
        assert calls[-1]["recipe"].budget == Budget("x86-ort", bytes=9000)
        assert calls[-1]["command"] == f"edgeseg run {recipe} --target x86-ort --budget bytes=9000"
    assert edgeseg("run", recipe).exit_code == 0 and calls[-1]["recipe"].budget is None
    done = edgeseg("fit", recipe, "--target", "x86-ort")
    assert done.exit_code == 2 and "no budget; give --budget latency_ms=2" in done.stderr
    assert "--target is None; use one of x86-ort" in edgeseg("fit", recipe).stderr


def test_demo_is_the_demo_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub(monkeypatch, result(REPORT))
    assert edgeseg("demo").exit_code == 0
    assert calls[0]["recipe"].name == "demo" and calls[0]["data"] is None


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BackendError("no engine"), 1, "error: no engine"),
        (GateError("too slow"), 3, "error: too slow"),
        (KeyboardInterrupt(), 1, "stopped; the same command goes on from here"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "pip install 'edgeseg[pipeline]'"),
        (ModuleNotFoundError("No module", name="onnxruntime.capi"), 1, "pip install 'edgeseg[ort]'"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left", "steps/a"), 1, "no space left on the disk (steps/a)"),
        (PermissionError(13, "Permission denied", "x"), 1, "no permission (x)"),
    ],
)
def test_failures_are_one_message(
    error: BaseException, code: int, message: str, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, error)
    done = edgeseg("run", recipe)
    assert done.exit_code == code and message in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert "Traceback" in edgeseg("--debug", "run", recipe).stderr


def test_our_own_faults_keep_their_traceback(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, ZeroDivisionError("a bug"))
    assert isinstance(edgeseg("run", recipe).exception, ZeroDivisionError)


# Processes of their own


def test_nothing_heavy_is_imported_to_print_help() -> None:
    script = (
        "import sys\nfrom edgeseg.runtime.entry import main\nsys.argv = ['edgeseg', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('imported:', sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


FAKE_STEPS = """
import json
import os

def any_step(context):
    made = {"status": "ok", "file": "tiny.edgeseg"}
    if os.environ.get("NOTHING_SHIPS"):
        made = {"status": "refused", "reason": "nothing to pack"}
    files = context.folder.files
    (files / "made").write_text(context.step.name)
    if context.step.name == "report":
        shipped = {"step": "onnx_int8", "variant": "onnx-int8-x86", "target": "x86-ort", "reason": "made up"}
        shipped |= {} if "file" in made else {"step": None}
        shipped["over_budget"] = [os.environ["OVER_BUDGET"]] if "OVER_BUDGET" in os.environ else []
        report = {"steps": [], "shipped": shipped, "total_wall_s": 1.0}
        (files / "report.json").write_text(json.dumps(report))
        (files / "report.html").write_text("<p>report")
    if context.step.name == "bundle" and "file" in made:
        (files / "tiny.edgeseg").write_bytes(b"bundle")
    return made
"""


def fake_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`plan_steps` with steps that are made up at once, of equal keys: where a step's code lives is no part of them."""
    (folder / "fake_cli_steps.py").write_text(FAKE_STEPS)
    monkeypatch.syspath_prepend(folder)
    planned = run.plan_steps

    def faked(*arguments: Any, **options: Any) -> Any:
        steps = planned(*arguments, **options)
        return tuple(dataclasses.replace(step, module="fake_cli_steps:any_step") for step in steps)

    return faked


def test_a_bundle_of_before_does_not_stay_where_nothing_ships(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "plan_steps", fake_steps(tmp_path, monkeypatch))
    bundle = tmp_path / "runs" / "tiny" / "tiny.edgeseg"
    assert edgeseg("run", recipe, "--out", tmp_path / "runs").exit_code == 0 and bundle.is_file()
    (bundle.with_name("other.edgeseg")).write_bytes(b"not ours")
    monkeypatch.setenv("NOTHING_SHIPS", "1")
    done = edgeseg("run", recipe, "--out", tmp_path / "runs", "--set", "intended_use=other")
    assert done.exit_code == 3 and not bundle.exists() and bundle.with_name("other.edgeseg").is_file()
    assert f"removed {bundle}, which an earlier run had packed" in done.stdout.replace("\n", " ")
    done = edgeseg("run", recipe, "--out", tmp_path / "runs", "--set", "intended_use=other", "--json")
    assert done.exit_code == 3 and json.loads(done.stdout)["removed"] is None


def test_a_second_run_with_nothing_changed_imports_nothing_heavy(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = run.plan_steps
    with monkeypatch.context() as patched:
        patched.setattr(run, "plan_steps", fake_steps(tmp_path, monkeypatch))
        first = edgeseg("run", recipe, "--out", tmp_path / "runs", "--json")
    assert first.exit_code == 0, first.stderr
    assert json.loads(first.stdout)["reused"] == []

    script = (
        "import sys\nfrom edgeseg.pipeline.cli import app\n"
        f"try:\n    app(['run', {str(recipe)!r}, '--out', {str(tmp_path / 'runs')!r}, '--json'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "for name in ('torch', 'monai', 'lightning', 'onnx', 'onnxruntime', 'litert_torch', 'matplotlib'):\n"
        "    assert name not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ran"] == [] and set(found["reused"]) == {
        step.name for step in planned(load_recipe(recipe)) if not step.left_out
    }
    assert (tmp_path / "runs" / "tiny" / "tiny.edgeseg").read_bytes() == b"bundle"
