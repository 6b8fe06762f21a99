"""The plain script makes the runtime's masks, or its time says nothing."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.golden import differing_share
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Geometry


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "frames"))
    return importlib.import_module("plain_script")


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [
        (Geometry("resize", 64, 96), (128, 192)),
        (Geometry("resize", 64, 96, interpolation="area"), (150, 200)),
        (Geometry("tile", tile_px=64, overlap_px=16), (150, 200)),
        (Geometry("tile", tile_px=64, overlap_px=16), (40, 200)),
    ],
    ids=str,
)
def test_it_makes_the_same_masks(script, make_model, spec, geometry, shape):
    spec = replace(spec, input=replace(spec.input, geometry=geometry))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    frame = np.repeat((128 + 100 * np.sin(rows / 9) * np.sin(columns / 13)).astype(np.uint8)[:, :, None], 3, axis=2)
    model = make_model("net")
    with Segmenter.from_file(model, spec, threads=1) as segmenter:
        wanted = segmenter(frame).mask
    for low_res, most in ((False, 0.01), (True, 0.3)):
        mask = script.PlainScript(model.read_bytes(), spec, 1, low_res)(frame)
        assert mask.shape == wanted.shape
        assert differing_share(mask, wanted) <= most


def test_the_summary_is_of_the_whole_call(script, make_stages, clock, frame, tiny_config):
    calls = {
        name: make_stages(name, [ns])
        for name, ns in (("runtime", 2_000_000), ("plain", 6_000_000), ("low-res", 1_000_000))
    }
    subjects = {
        name: script.Whole(lambda one, stages=stages: stages.infer(one), stages.close) for name, stages in calls.items()
    }
    runs = script.time_subjects(subjects, frame, tiny_config, clock, lambda _name: None)
    reply = {"runs": {name: script.asdict(run) for name, run in runs.items()}, "differs": {}, "foreground": 0.1}
    found = script.summarize([reply, reply])
    assert found["p50_ms"] == {"runtime": 2.0, "plain": 6.0, "low-res": 1.0}
    assert found["runtime_is_faster_than"]["plain"]["ratio"] == pytest.approx(3.0)
    assert found["runtime_is_faster_than"]["low-res"]["ratio"] == pytest.approx(0.5)
