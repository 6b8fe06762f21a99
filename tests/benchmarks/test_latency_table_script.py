"""The comparison itself, on made-up times; `tests/pipeline/target/test_local.py` measures."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "networks" / "latency_table.py"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("torch", reason="the script makes networks")
    spec = importlib.util.spec_from_file_location("latency_table_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_network_is_predicted_from_the_others(script, tmp_path):
    from edgeseg.compress.search.latency_table import LatencyTable
    from edgeseg.compress.search.probe import Layer, Measurement

    class Probe:
        target, identity, depthwise_step = "x86-ort", "made up", 1

        def layers_ms(self, layers):
            return [layer.in_channels / 100 for layer in layers]

    table = LatencyTable(Probe(), tmp_path / "layers.json")
    layers = {f"width {n}": [Layer("add", n, n, 1, 1, 8, 8)] for n in (10, 20, 40, 80)}
    table.ensure([layer for its in layers.values() for layer in its])
    times = {name: 0.5 + 2 * its[0].in_channels / 100 for name, its in layers.items()}
    measured = {name: Measurement(ms + 9.0, ms, None, 1000, "no meter") for name, ms in times.items()}
    measured["width 80"] = Measurement(None, None, None, None, "it cannot be exported")
    rows, errors = script.compare(table, layers, measured)
    assert [row["predicted_held_out_ms"] for row in rows] == [pytest.approx(times[n]) for n in list(times)[:3]] + [None]
    assert errors["held_out"] == pytest.approx(0) and errors["plain_sum"] > 0.5
    assert rows[3]["reason"] == "it cannot be exported"


def test_the_students_are_of_every_width_and_one_is_pruned_unevenly(script):
    found = script.candidates([0.25], None)
    assert list(found) == ["width 0.25", "pruned"]
    widths = [spec["mid"] for stage in found["pruned"].arch["blocks"] for spec in stage]
    assert widths != [spec["mid"] for stage in found["width 0.25"].arch["blocks"] for spec in stage]
