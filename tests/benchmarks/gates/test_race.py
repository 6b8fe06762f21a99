"""Old against new in one run: what pairs with what, what a gate says, what is refused before it is measured."""

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.tensors import Sizes
from edgeseg.benchmarks.gates.gates import Gate, decide
from edgeseg.benchmarks.gates.junit import to_junit
from edgeseg.benchmarks.gates.race import Race
from edgeseg.benchmarks.results.result import ModelFile
from edgeseg.benchmarks.sources import EngineOnly, Origin, open_source
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.errors import ConfigError, MeasureError

QUICK = ["--threads", "1", "--blocks", "2", "--seconds", "0.04", "--min-samples", "20", "--warmup-cap", "0.2"]


@pytest.fixture
def make_bundle(tmp_path, make_model, spec, frame):
    def make(name, widths, dice=0.75, data="a", classes=None):
        spec_ = dataclasses.replace(spec, classes=classes) if classes else spec
        variants = [
            VariantSource(variant, make_model(f"{name}-{variant}", width), spec_, {"test": {"dice_mean": dice}})
            for variant, width in widths.items()
        ]
        scored = ({"name": "set", "content_sha256": data * 64, "split_sha256": data * 64},)
        info = BundleInfo("part", "1", "tests only", spec_.input, data=scored)
        pack(tmp_path / f"{name}.edgeseg", info, variants, [frame])
        return tmp_path / f"{name}.edgeseg"

    return make


def test_bundles_and_files_take_turns_under_names_of_their_own(make_bundle, make_model):
    old, new = make_bundle("old", {"onnx": 4, "wide": 8}), make_bundle("new", {"onnx": 4})
    with open_source([old, new], "all") as source:
        assert [s.name for s in source.subjects] == ["old.edgeseg:onnx", "old.edgeseg:wide", "new.edgeseg:onnx"]
        assert [o.variant for o in source.origins] == ["onnx", "wide", "onnx"]
        assert source.subjects[0].model.is_file() and source.frame[1].startswith("golden/")
    with open_source([old, new], "wide") as source:
        assert [s.name for s in source.subjects] == ["old.edgeseg:wide"]
    foreign = make_model("foreign")
    with pytest.raises(ConfigError, match="--engine-only times the engines of all"), open_source([old, foreign], "all"):
        pass
    with open_source([old, foreign], "all", EngineOnly(asked=True, sizes=Sizes((8, 8)))) as source:
        assert [s.name for s in source.subjects] == ["old.edgeseg:onnx", "old.edgeseg:wide", "model.onnx"]


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [("latency_p90=+5%", "latency_p90", 0.05), ("latency_p50=-10%", "latency_p50", -0.1), ("dice=-0.2", "dice", -0.2)],
)
def test_gates_are_read(text, metric, limit):
    gate = Gate.parse(text)
    assert (gate.metric, gate.limit) == (metric, pytest.approx(limit))


@pytest.mark.parametrize("text", ["latency=5%", "latency_p90=5", "dice=-0.2%", "dice<0", "size=+x%"])
def test_other_forms_are_refused(text):
    with pytest.raises(ConfigError, match=r"--gate"):
        Gate.parse(text)


@pytest.fixture
def race(make_result, make_row, noisy):
    """Rows of a run: `new` is slower than `old` by a ratio, on a machine with the luck of processes and blocks."""

    def make(slowdown, seed=3):
        return make_result(make_row("old", noisy(8.0, 1)), make_row("new", noisy(8.0 * (1 + slowdown), seed)))

    return make


@pytest.mark.parametrize("metric", ["latency_p50", "latency_p90"])
@pytest.mark.parametrize(
    ("slowdown", "limit", "outcome"),
    [(0.2, 5, "broken"), (0.2, 30, "kept"), (0.0, 5, "kept"), (-0.2, -10, "kept"), (-0.05, -10, "broken")],
)
def test_a_gate_is_broken_by_what_is_shown(race, metric, slowdown, limit, outcome):
    found = decide(Gate.parse(f"{metric}={limit:+}%"), race(slowdown), "old", "new")
    assert found.outcome == outcome and "95 % interval" in found.reason


def test_what_lies_beyond_the_limit_by_luck_is_said_and_breaks_nothing(race):
    found = decide(Gate.parse("latency_p50=+5%"), race(0.055), "old", "new")
    assert found.outcome == "not shown" and "--processes 20" in found.sentence


def test_size_and_dice_have_no_luck(make_result, make_row, noisy):
    old = make_row("old", noisy(8, 1), accuracy={"test": {"dice_mean": 0.800}}, model=ModelFile("a", 1000))
    new = make_row("new", noisy(8, 2), accuracy={"test": {"dice_mean": 0.797}}, model=ModelFile("b", 1049))
    result = make_result(old, new)
    outcomes = {text: decide(Gate.parse(text), result, "old", "new").outcome for text in ("dice=-0.2", "dice=-0.4")}
    assert outcomes == {"dice=-0.2": "broken", "dice=-0.4": "kept"}
    assert decide(Gate.parse("size=+5%"), result, "old", "new").outcome == "kept"
    assert decide(Gate.parse("size=+4.8%"), result, "old", "new").outcome == "broken"


def test_a_row_that_did_not_run_is_no_kept_gate(make_result, make_row, noisy):
    result = make_result(make_row("old", noisy(8, 1)), make_row("new", [], status="failed", reason="crashed"))
    with pytest.raises(MeasureError, match=r"new has no samples: it is failed \(crashed\)"):
        decide(Gate.parse("latency_p50=+5%"), result, "old", "new")
    suite = ET.fromstring(to_junit(result))
    assert suite.get("failures") == "1" and suite.find("testcase/failure").get("message") == "failed: crashed"


def test_the_junit_file_counts_broken_and_unshown(race):
    result = race(0.055)
    decisions = [decide(Gate.parse(f"latency_p50={limit}%"), result, "old", "new") for limit in ("+1", "+5", "+20")]
    suite = ET.fromstring(to_junit(result, decisions))
    assert [suite.get(key) for key in ("tests", "failures", "skipped")] == ["5", "1", "1"]
    names = {case.get("name"): [child.tag for child in case] for case in suite}
    assert names["latency_p50=+1%"] == ["failure"] and names["latency_p50=+5%"] == ["skipped"]


OLD = Origin(Path("old"), "onnx", ("background", "pit"), ("a", "b"))


@pytest.mark.parametrize(
    ("change", "gate", "processes", "reason"),
    [
        ({"classes": ("background", "dent")}, "size=+1%", 5, "they do different things"),
        ({"scored_on": ("a", "c")}, "dice=-0.2", 5, "scored on other images"),
        ({"scored_on": None}, "dice=-0.2", 5, "does not say how well"),
        ({}, "latency_p90=+5%", 4, "a gate needs 5"),
        ({}, "energy=+5%", 5, "needs a power meter"),
        ({"variant": "tflite"}, "size=+1%", 5, None),
    ],
)
def test_unlike_things_are_refused_before_anything_is_measured(tmp_path, change, gate, processes, reason):
    new = dataclasses.replace(OLD, path=tmp_path, **change)
    race = Race((OLD.path, new.path), (Gate.parse(gate),), OLD.path)
    config = HarnessConfig(processes=processes)
    if reason is None:  # the old one has one variant alone: it is what all others stand against
        assert race.pairs((OLD, new), config) == [(0, 1)]
        return
    with pytest.raises(ConfigError, match=reason):
        race.pairs((OLD, new), config)


def test_pairs_are_of_equal_variants(tmp_path):
    olds = [dataclasses.replace(OLD, variant=name) for name in ("a", "b")]
    news = [dataclasses.replace(OLD, path=tmp_path, variant=name) for name in ("b", "c")]
    race = Race((OLD.path, tmp_path), (Gate.parse("size=+1%"),), OLD.path)
    assert race.pairs((*olds, *news), HarnessConfig()) == [(1, 2)]
    with pytest.raises(ConfigError, match="it has a, b, and no other file has one of them"):
        race.pairs((*olds, news[1]), HarnessConfig())


def test_a_new_file_that_no_gate_would_look_at_is_refused(make_bundle):
    old = make_bundle("old", {"onnx": 4, "wide": 8})
    new, other = make_bundle("new", {"wide": 8}), make_bundle("other", {"narrow": 2})
    race = Race((old, new, other), (Gate.parse("size=+1%"),), old)
    with open_source(race.paths, "all") as source, pytest.raises(ConfigError, match=r"other\.edgeseg: none of its"):
        race.pairs(source.origins, HarnessConfig())


def test_a_new_file_without_the_variants_asked_for_is_refused():
    olds = [dataclasses.replace(OLD, variant=name) for name in ("a", "b")]
    new = dataclasses.replace(OLD, path=Path("new"), variant="a")
    race = Race((OLD.path, Path("new"), Path("without")), (Gate.parse("size=+1%"),), OLD.path)
    with pytest.raises(ConfigError, match="without: none of its variants has a counterpart in old"):
        race.pairs((*olds, new), HarnessConfig())


def test_what_has_no_counterpart_is_told_and_skipped(make_bundle, tmp_path):
    old, new = make_bundle("old", {"onnx": 4, "gone": 8}), make_bundle("new", {"onnx": 4, "added": 16})
    junit = tmp_path / "gates.xml"
    command = ["run", new, "--against", old, "--gate", "size=+1%", *QUICK, "--junit", junit]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    alone = ["old.edgeseg:gone", "new.edgeseg:added"]
    for name in alone:
        assert f"gates: {name} is held against nothing: it has no counterpart" in done.stderr
    suite = ET.parse(junit).getroot()
    skipped = [case.get("classname") for case in suite if case.find("skipped") is not None]
    assert (skipped, suite.get("skipped"), suite.get("tests")) == (alone, "2", str(4 + 1 + 2))


def test_gate_and_against_belong_together(tmp_path):
    for gates, against in ((["size=+1%"], None), ([], tmp_path)):
        with pytest.raises(ConfigError, match="belong together"):
            Race.parse(gates, against, [tmp_path / "new"])


def test_a_broken_gate_is_exit_code_3_and_a_junit_failure(make_bundle, tmp_path):
    old, new = make_bundle("old", {"onnx": 4}, dice=0.75), make_bundle("new", {"onnx": 64}, dice=0.70)
    junit = tmp_path / "gates.xml"
    command = ["run", new, "--against", old, "--gate", "dice=-0.2", "--gate", "size=+900000%", *QUICK, "--junit", junit]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 3, done.output
    assert done.stdout.splitlines()[1].startswith("old.edgeseg:onnx")  # measured beside the new one
    assert "gate dice=-0.2: broken: new.edgeseg:onnx against old.edgeseg:onnx: dice -5.00 points" in done.stderr
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")


def test_no_gate_is_kept_by_times_of_an_emulator(make_result, make_row, noisy):
    result = make_result(make_row("old", noisy(4.0, 1)), make_row("new", noisy(4.0, 2)), evidence="emulated")
    with pytest.raises(MeasureError, match="measured in an emulator"):
        decide(Gate.parse("latency_p90=+5%"), result, "old", "new")
    assert decide(Gate.parse("size=+5%"), result, "old", "new").outcome == "kept"
    replayed = dataclasses.replace(result, evidence="replayed")
    assert decide(Gate.parse("latency_p90=+50%"), replayed, "old", "new").reason.endswith(", evidence replayed")
