from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.compress.search.latency_table import CHUNK, LatencyTable
from edgeseg.compress.search.layer_interpolation import width_grid
from edgeseg.compress.search.probe import Layer
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

from ..fake_probe import FakeProbe


def conv(i: int, o: int, size: int = 32) -> Layer:
    return Layer("conv", i, o, 1, 1, size, size)


MANY = [conv(8 * i, 8, size) for size in (16, 32) for i in range(1, CHUNK + 1)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "layers.json"


def test_a_layer_is_measured_once(cache: Path) -> None:
    probe = FakeProbe()
    table = LatencyTable(probe, cache)
    layers = [conv(8, 16), conv(16, 8), conv(8, 16)]
    table.ensure(layers)
    table.ensure(layers)
    assert sorted(probe.asked) == sorted(set(layers)) and len(table) == 2
    assert table.predict_ms(layers) == pytest.approx(sum(map(FakeProbe.formula_ms, layers)))


def test_the_file_serves_the_next_process_but_no_other_target(cache: Path) -> None:
    LatencyTable(FakeProbe(), cache).ensure([conv(8, 16)])
    again, other = FakeProbe(), FakeProbe("another board | engine 1 | int8")
    LatencyTable(again, cache).ensure([conv(8, 16)])
    LatencyTable(other, cache).ensure([conv(8, 16)])
    assert again.asked == [] and other.asked == [conv(8, 16)]
    assert set(json.loads(cache.read_text())["layers_ms"]) == {again.identity, other.identity}


def test_what_another_process_measured_meanwhile_is_kept(cache: Path) -> None:
    one, two = LatencyTable(FakeProbe(), cache), LatencyTable(FakeProbe(), cache)
    one.ensure([conv(8, 16)])
    two.ensure([conv(16, 8)])
    assert LatencyTable(FakeProbe(), cache).unmeasured([conv(8, 16), conv(16, 8)]) == []


def test_a_target_that_disappears_keeps_what_it_measured(cache: Path) -> None:
    with pytest.raises(MeasureError, match="cable"):
        LatencyTable(FakeProbe(lasts=CHUNK), cache).ensure(MANY)
    table = LatencyTable(back := FakeProbe(), cache)
    assert len(table) == CHUNK
    table.ensure(MANY)
    assert len(back.asked) == len(MANY) - CHUNK and table.unmeasured(MANY) == []


@pytest.mark.parametrize("answer", [[], [1.0, 2.0], [float("nan")], [-0.1]])
def test_a_nonsensical_answer_is_refused(cache: Path, answer: list[float]) -> None:
    probe = FakeProbe()
    probe.layers_ms = lambda layers: answer
    table = LatencyTable(probe, cache)
    with pytest.raises(MeasureError, match="fake-engine answered"):
        table.ensure([conv(8, 16)])
    assert len(table) == 0 and not cache.exists()


def test_progress_is_told_before_each_chunk(cache: Path) -> None:
    told: list[tuple[float, str]] = []
    LatencyTable(FakeProbe(), cache).ensure(MANY, lambda done, what: told.append((done, what)))
    assert [done for done, _ in told] == [0.0, 0.5] and "fake-engine" in told[0][1]


def test_layers_are_measured_in_a_mixed_order_the_same_every_time(cache: Path, tmp_path: Path) -> None:
    orders = []
    for file in (cache, tmp_path / "other.json"):
        probe = FakeProbe()
        LatencyTable(probe, file).ensure(MANY)
        orders.append(probe.asked)
    assert orders[0] == orders[1] != MANY


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"schema_version": 2, "layers_ms": {}}', '{"schema_version": 1, "layers_ms": {"a": {"conv": 1}}}'],
)
def test_a_file_that_is_no_table_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "layers.json"
    file.write_text(text)
    with pytest.raises(MeasureError, match=r"layers\.json is no latency table"):
        LatencyTable(FakeProbe(), file)
    assert file.read_text() == text


def test_a_width_between_measured_ones_is_interpolated_and_said_so(cache: Path) -> None:
    table = LatencyTable(FakeProbe(), cache)
    table.ensure(width_grid([conv(64, 64)]))
    asked = conv(40, 24)
    assert table.unmeasured([asked]) == [asked]
    assert table.layer_ms(asked) == pytest.approx(FakeProbe.formula_ms(asked), rel=1e-4)


def test_a_layer_beyond_what_was_measured_is_an_error_until_it_is_measured(cache: Path) -> None:
    table = LatencyTable(FakeProbe(), cache)
    with pytest.raises(MeasureError, match=r"conv 1x1/1 8->16 @32x32 was not measured.*ensure"):
        table.predict_ms([conv(8, 16)])
    table.ensure([conv(8, 16)])
    assert table.predict_ms([conv(8, 16)]) > 0


def test_the_line_to_whole_networks(cache: Path) -> None:
    table = LatencyTable(FakeProbe(), cache)
    networks = [[conv(8 * n, 8 * n)] * 3 for n in (1, 4, 9, 16)]
    table.ensure([layer for layers in networks for layer in layers])
    pairs = [(layers, 0.5 + 1.25 * table.predict_ms(layers)) for layers in networks]
    assert table.error(pairs) > 0.2
    spoiled = [*pairs[:3], (pairs[3][0], 1.01 * pairs[3][1])]
    table.fit_offset(spoiled)
    assert table.error(pairs) < 0.01
    table.fit_offset(pairs)
    assert (table.offset_ms, table.factor) == (pytest.approx(0.5), pytest.approx(1.25))
    assert table.predict_ms(networks[0]) == pytest.approx(pairs[0][1]) and table.error(pairs) < 1e-9


def test_one_network_gives_the_constant_alone(cache: Path) -> None:
    table = LatencyTable(FakeProbe(), cache)
    table.ensure([conv(8, 8)])
    plain = table.predict_ms([conv(8, 8)])
    table.fit_offset([([conv(8, 8)], plain + 0.3)])
    assert (table.offset_ms, table.factor) == (pytest.approx(0.3), 1.0)
    table.fit_offset([([conv(8, 8)], plain / 2)])
    assert (table.offset_ms, table.factor) == (0.0, pytest.approx(0.5))


def test_a_frame_of_tiles_costs_a_call_each(cache: Path) -> None:
    once, tiles = LatencyTable(FakeProbe(), cache), LatencyTable(FakeProbe(), cache, calls=10)
    once.ensure(layers := [conv(8, 16), conv(16, 8)])
    tiles.ensure(layers)
    assert tiles.predict_ms(layers) == pytest.approx(10 * once.predict_ms(layers))
    tiles.fit_offset([(layers, tiles.predict_ms(layers) + 3.0)])
    assert (tiles.factor, tiles.offset_ms) == (1.0, pytest.approx(3.0))


@pytest.mark.parametrize("times", [[], [0.0], [1.0, float("nan")]])
def test_a_line_needs_times(cache: Path, times: list[float]) -> None:
    table = LatencyTable(FakeProbe(), cache)
    table.ensure([conv(8, 8)])
    with pytest.raises(ConfigError, match="positive time"):
        table.fit_offset([([conv(8, 8)], ms) for ms in times])


def test_widths_are_those_the_target_gets(cache: Path) -> None:
    probe = FakeProbe()
    probe.depthwise_step = 16
    model = build_model(efficient_unet_arch(1, 3, width=0.25, stages=3))
    layers = LatencyTable(probe, cache).layers_of(model, (32, 32))
    assert {layer.out_channels % 16 for layer in layers if layer.kind == "depthwise"} == {0, 8}  # 8: behind a skip
