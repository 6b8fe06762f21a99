"""The chain: runs what is needed once, reuses what is whole, goes on after a kill at any moment."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgeseg.pipeline.chain.chain import Chain, Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.runtime.errors import ConfigError, EdgesegError, TrainingError

# The steps of these tests, in a module of their own as real ones are.
STEPS = '''
import time
from edgeseg.runtime.files.atomic import write_text
from edgeseg.runtime.errors import TrainingError

def note(context):
    with (context.data_root / "log").open("a") as log:
        log.write(context.step.name + "\\n")

def add(context):
    """The sum of the parents' values and the step's own."""
    note(context)
    context.progress(0.5, "half")
    value = context.setting("value") + sum(record["result"]["value"] for record in context.results.values())
    (context.folder.files / "value").write_text(str(value))
    return {"value": value}

def measure(context):
    """Comes out otherwise each time."""
    note(context)
    return {"value": (context.data_root / "log").read_text().count(context.step.name)}

def fail(context):
    raise TrainingError("the loss is not finite")

def count(context):
    """Counts to a hundred, keeping its place as a training keeps its checkpoint."""
    note(context)
    place = context.folder.work / "count"
    done = int(place.read_text()) if place.is_file() else 0
    for number in range(done + 1, 101):
        write_text(place, str(number))
        (context.folder.files / "half").write_text("x" * number)
        time.sleep(context.setting("value"))
    (context.folder.files / "half").unlink(missing_ok=True)
    (context.folder.files / "result").write_text("100")
    return {"value": 100, "counted": 100 - done}
'''

SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import test_chain
test_chain.counting(Path(sys.argv[2]), float(sys.argv[3])).run()
"""


def chain(root: Path, steps: tuple[Step, ...], data_key: str = "d") -> Chain:
    return Chain(steps, root / "run", root, data_key)


def step(name: str, *parents: str, value: float = 1, module: str = "fake_steps:add", **settings: Any) -> Step:
    return Step(name, parents, {"value": value}, module, **settings)


def counting(root: Path, pause_s: float) -> Chain:
    return chain(
        root, (step("first"), step("long", "first", value=pause_s, module="fake_steps:count"), step("last", "long"))
    )


@dataclasses.dataclass(frozen=True)
class Section:
    @dataclasses.dataclass(frozen=True)
    class Inner:
        rate: float = 0.5

    sizes: tuple[int, ...] = ()
    inner: Inner = dataclasses.field(default_factory=Inner)


def context_of(root: Path, step: Step) -> StepContext:
    return StepContext(step, root, root / "split.csv", StepFolder(root), {}, {}, lambda share, words: None)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fake_steps.py").write_text(STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fake_steps", raising=False)
    return tmp_path


def diamond(a: float = 1, b: float = 10, c: float = 100, **of_c: Any) -> tuple[Step, ...]:
    return (step("a", value=a), step("b", "a", value=b), step("c", "a", value=c, **of_c), step("d", "b", "c", value=0))


def test_results_flow_from_parents_to_children(root: Path) -> None:
    told: list[tuple[str, float, str]] = []
    state = chain(root, diamond()).run(lambda *what: told.append(what))
    assert state.records["d"]["result"] == {"value": 112}
    assert state.ran == ["a", "b", "c", "d"] and state.reused == []
    assert told == [(name, 0.5, "half") for name in "abcd"]


def test_an_unchanged_run_reuses_everything(root: Path) -> None:
    first = chain(root, diamond()).run()
    told: list[tuple[str, float, str]] = []
    second = chain(root, diamond()).run(lambda *what: told.append(what))
    assert second.records == first.records
    assert second.ran == [] and second.reused == ["a", "b", "c", "d"]
    assert told == [(name, 1.0, "unchanged") for name in "abcd"]


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        (diamond(a=2), ["a", "b", "c", "d"]),
        (diamond(b=11), ["b", "d"]),
        (diamond(c=101), ["c", "d"]),
        (diamond(version=2), ["c", "d"]),
        (diamond(uses_data=False), ["c", "d"]),
    ],
)
def test_a_changed_setting_runs_again_only_what_depends_on_it(
    root: Path, changed: tuple[Step, ...], again: list[str]
) -> None:
    chain(root, diamond()).run()
    assert chain(root, changed).run().ran == again


def test_other_data_runs_again_what_reads_it(root: Path) -> None:
    steps = (step("a", uses_data=False), step("b", "a"))
    chain(root, steps).run()
    assert chain(root, steps, data_key="other").run().ran == ["b"]


def test_a_touched_file_is_made_again_but_not_what_follows(root: Path) -> None:
    made = chain(root, diamond())
    made.run()
    (made.folder("b").files / "value").write_text("12")
    state = made.run()
    assert state.ran == ["b"] and (made.folder("b").files / "value").read_text() == "11"


def test_what_follows_a_new_measurement_is_made_again(root: Path) -> None:
    """Else a report would tell the times of before beside a bench that was made again."""
    steps = (step("a"), step("bench", "a", module="fake_steps:measure"), step("report", "bench"), step("other", "a"))
    made = chain(root, steps)
    assert made.run().records["report"]["result"] == {"value": 2}
    shutil.rmtree(made.folder("bench").root)
    again = made.run()
    assert again.ran == ["bench", "report"] and again.records["report"]["result"] == {"value": 3}
    assert made.run().ran == []
    marker = made.folder("report").root / "done.json"
    record = json.loads(marker.read_text())
    del record["made_of"]  # as records were before
    marker.write_text(json.dumps(record))
    assert made.run().ran == []


def test_only_runs_a_step_and_what_it_needs(root: Path) -> None:
    state = chain(root, diamond()).run(only="b")
    assert state.ran == ["a", "b"]
    assert chain(root, diamond()).run().ran == ["c", "d"]
    with pytest.raises(EdgesegError, match="step 'e' is unknown; known are a, b, c, d"):
        chain(root, diamond()).run(only="e")


def test_a_failing_step_keeps_what_was_done_before(root: Path) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        chain(root, diamond(module="fake_steps:fail")).run()
    assert (root / "log").read_text().split() == ["a", "b"]
    state = chain(root, diamond()).run()
    assert state.reused == ["a", "b"] and state.ran == ["c", "d"]


def test_killed_in_the_middle_of_a_step_it_goes_on_from_there(root: Path) -> None:
    place = root / "run" / "steps" / "long" / "work" / "count"
    arguments = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(root), "0.05"]
    process = subprocess.Popen(arguments, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not (place.is_file() and int(place.read_text() or 0) >= 3):
            assert process.poll() is None and time.monotonic() < deadline, "the chain did not get to counting"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = int(place.read_text())
    assert not (root / "run" / "steps" / "long" / "done.json").exists()

    state = counting(root, 0.05).run()
    assert state.reused == ["first"] and state.ran == ["long", "last"]
    assert state.records["long"]["result"] == {"value": 100, "counted": 100 - done}
    assert list(state.records["long"]["files"]) == ["result"]  # nothing half-written is left
    assert state.records["last"]["result"] == {"value": 101}
    assert (root / "log").read_text().split() == ["first", "long", "long", "last"]


def test_killed_between_files_and_marker_the_step_is_made_again(root: Path) -> None:
    made = chain(root, diamond())
    made.run()
    (made.folder("c").root / "done.json").unlink()
    assert made.run().ran == ["c"]


def test_time_spent_before_an_interruption_counts(root: Path) -> None:
    made = chain(root, (step("a"),))
    with pytest.raises(TrainingError):
        chain(root, (step("a", module="fake_steps:fail"),)).run()  # the same key: the module is no part of it
    spent = made.folder("a").work / "spent.json"
    spent.write_text(json.dumps({"wall_s": 1000.0}))
    assert made.run().records["a"]["wall_s"] >= 1000.0


def test_a_step_reads_what_it_is_keyed_by_and_nothing_else(root: Path) -> None:
    strange = chain(root, (Step("odd", (), {"epochs": 3, "rate": 0.5}, "fake_steps:add"),))
    words = "step 'odd' reads 'value', but is keyed by epochs, rate; hand it over in the plan"
    with pytest.raises(KeyError, match=words):
        strange.run()


def test_a_section_comes_back_whole_or_not_at_all(root: Path) -> None:
    settings = {"run": dataclasses.asdict(Section((1, 2), Section.Inner(0.1))), "part": {"sizes": [1]}}
    context = context_of(root, Step("odd", (), settings, ""))
    assert context.section("run", Section) == Section((1, 2), Section.Inner(0.1))
    with pytest.raises(ConfigError, match=r"odd: part\.inner is missing"):
        context.section("part", Section)


def test_nothing_heavy_is_imported_to_find_that_nothing_changed(root: Path) -> None:
    chain(root, diamond()).run()
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_chain;"
        "state = test_chain.chain(Path(sys.argv[2]), test_chain.diamond()).run(); assert not state.ran, state.ran;"
        "print(sorted({'torch', 'monai', 'lightning', 'onnx', 'numpy', 'fake_steps'} & sys.modules.keys()))"
    )
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(root)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
