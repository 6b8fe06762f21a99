import sys
from pathlib import Path

import pytest

from edgeseg.benchmarks.estimate.roofline import Estimate

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "measuring"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import estimate_error

    yield estimate_error
    sys.modules.pop("estimate_error")


def test_errors_of_each_file_by_hand_and_by_the_other_bundle(script):
    """Twice as slow as estimated in one bundle, three times in the other."""
    one, other = (Estimate(name, "onnxruntime", "fp32", 10.0, 5.0, 15.0, "compute") for name in "ab")
    rows = script.rows_of({"a": [(one, 20.0)], "b": [(other, 30.0)]})
    assert [row["by_peaks"]["error_percent"] for row in rows] == pytest.approx([50, 100 * 2 / 3])
    assert [row["by_other_bundles"]["ms"] for row in rows] == pytest.approx([30, 20])
    assert [row["by_other_bundles"]["within_bars"] for row in rows] == [False, True]  # 20 to 45, 13 to 30
    found = script.summary(rows)
    assert found["by_peaks"]["within_bars"] == "0 of 2" and found["files"] == 2
    assert found["by_other_bundles"]["median_error_percent"] == pytest.approx((50 + 100 / 3) / 2)
    assert script.rows_of({"a": [(one, 20.0)]})[0]["by_other_bundles"] is None
