"""Cost per inference: arithmetic by hand, a part that is missing, and the assumption wherever the cost is shown."""

import csv
import dataclasses
import html
import io

import pytest

from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.benchmarks.results.price import Price
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.results.table import to_csv, to_text
from edgeseg.benchmarks.summary.page import to_html
from edgeseg.benchmarks.summary.texts import to_markdown
from edgeseg.benchmarks.targets.address import read_devices
from edgeseg.runtime.errors import ConfigError

HOUR = Price(hour=0.36, currency="EUR")


def test_a_cost_by_hand():
    # 10 ms of an hour at 0.36: 1e-6. 100 mJ = 1e-4 / 3600 kWh at 0.36: 1e-8.
    assert HOUR.cost(10.0, "no power meter was named") == pytest.approx(1e-6)
    assert Price(kwh=0.36).cost(None, 100.0) == pytest.approx(1e-8)
    assert Price(hour=0.36, kwh=0.36).cost(10.0, 100.0) == pytest.approx(1.01e-6)


def test_a_part_that_is_missing_is_not_left_out_of_the_sum():
    assert Price(hour=0.36, kwh=0.36).cost(10.0, "the meter was silent") == (
        "kWh are priced, and there is no energy: the meter was silent"
    )
    assert HOUR.cost(None, 1.0) == "there is no time to be priced"


def test_the_column_and_its_assumption_are_everywhere(make_result, make_row):
    result = dataclasses.replace(make_result(make_row("a", [[[10.0]]])), price=HOUR)
    said = "p50 of the device's time at 0.36 EUR an hour, busy without a pause"
    text = to_text(result)
    assert "EUR/million" in text and text.splitlines()[1].split()[-1] == "1" and said in text
    (row,) = csv.DictReader(io.StringIO(to_csv(result)))
    assert float(row["cost_per_inference"]) == pytest.approx(1e-6) and row["cost_currency"] == "EUR"
    assert row["cost_assumption"] == said and not row["cost_reason"]
    document = to_json(result)
    assert document["rows"][0]["cost_per_inference"] == pytest.approx(1e-6)
    assert document["price"]["assumption"] == said and from_json(document).price == HOUR
    for page in (to_html([result]), to_markdown([result])):
        assert "1 EUR" in page and said in html.unescape(page)


def test_a_cost_that_is_missing_says_why(make_result, make_row):
    result = dataclasses.replace(make_result(make_row("a", [[[10.0]]])), price=Price(hour=1.0, kwh=0.3))
    why = "kWh are priced, and there is no energy: no power meter was named"
    assert f"a: no cost: {why}" in to_text(result) and why in to_html([result])
    row = to_json(result)["rows"][0]
    assert row["cost_per_inference"] is None and row["null_reasons"]["cost_per_inference"] == why
    plain = to_json(dataclasses.replace(result, price=None))
    assert plain["price"] is None and plain["rows"][0]["cost_per_inference"] is None
    assert plain["rows"][0]["null_reasons"]["cost_per_inference"] == "no price list was given"
    assert "million" not in to_text(dataclasses.replace(result, price=None))


def test_a_recordings_energy_is_no_devices_in_a_cost_either(make_result, make_row):
    sensor = Sensor("replay", "recording p.csv", ("a",), "b", "power_w", 10.0, None, "c", evidence="replayed")
    trace = PowerTrace(sensor, (0, 1), (4.0, 4.0), 0, None, Stretch(0, 1), Stretch(0, 1))
    result = dataclasses.replace(make_result(make_row("a", [[[10.0]]])), price=Price(kwh=0.3), power=trace)
    assert str(result.cost_assumption).endswith("a kWh (replayed: no energy of this device)")
    assert dataclasses.replace(result, price=HOUR).cost_assumption == HOUR.assumption


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hour=x", "a price is no number"),
        ("hour=-1", "-1 is no price"),
        ("currency=EUR", "neither hour nor kwh"),
        ("watt=3", "write hour, kwh, currency once each"),
        ("hour=1,hour=2", "once each"),
    ],
)
def test_a_price_list_that_is_none_says_how_one_is_written(text, message):
    with pytest.raises(ConfigError, match=message):
        Price.parse(text)


def test_a_device_has_its_own_price(tmp_path):
    file = tmp_path / "devices.yaml"
    file.write_text("pi: {url: 'ssh://pi@pi', price: {hour: 0.02, kwh: 0.3, currency: EUR}}\nlab: ssh://lab\n")
    found = read_devices(tmp_path)
    assert found["pi"].price == Price(0.02, 0.3, "EUR") == Price.parse("hour=0.02, kwh=0.30, currency=EUR")
    assert found["lab"].price is None
    file.write_text("pi: {url: 'ssh://pi@pi', price: {day: 1}}\n")
    with pytest.raises(ConfigError, match=r"devices\.yaml: pi: price: 'day' is no part of a price list"):
        read_devices(tmp_path)
