"""How far `bench estimate --device here` is from what is measured here: every file of several bundles.

    python benchmarks/measuring/estimate_error.py a.edgeseg a.json b.edgeseg b.json --threads 2

takes bundles, each with its result of `bench run --out` on this idle machine, and prints one JSON object: of every file
the measured time of the engine, its estimate by this machine's peaks alone, and the one that the other bundles' results
have scaled (`--measured-of`); the median of the errors [%], and how many bars hold the measured time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.estimate.devices import HERE, Peak, peak_of
from edgeseg.benchmarks.estimate.measured import measured_rows
from edgeseg.benchmarks.estimate.roofline import Estimate, calibrated
from edgeseg.benchmarks.machine.environment import read_device

Measured = list[tuple[Estimate, float]]


def rows_of(bundles: dict[str, Measured]) -> list[dict[str, Any]]:
    """Each file with its time and both estimates; of each bundle the others are what the device is known by."""
    rows = []
    for name, measured in bundles.items():
        others = [row for other, found in bundles.items() if other != name for row in found]
        plain = [one for one, _ in measured]
        for (one, ms), scaled in zip(measured, calibrated(plain, others), strict=True):
            rows.append(
                {"bundle": name, "file": one.name, "engine": one.engine, "measured_ms": ms}
                | {"by_peaks": _beside(one, ms), "by_other_bundles": _beside(scaled, ms) if others else None}
            )
    return rows


def _beside(one: Estimate, ms: float) -> dict[str, Any]:
    within = one.low_ms <= ms <= one.high_ms
    return {"ms": one.ms, "error_percent": 100 * abs(one.ms / ms - 1), "within_bars": within}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The median error of either way, and the share of bars that hold."""
    found: dict[str, Any] = {"files": len(rows)}
    for way in ("by_peaks", "by_other_bundles"):
        known = [row[way] for row in rows if row[way]]
        if known:
            errors = [one["error_percent"] for one in known]
            held = sum(one["within_bars"] for one in known)
            found[way] = {"median_error_percent": statistics.median(errors), "worst_error_percent": max(errors)}
            found[way] |= {"within_bars": f"{held} of {len(known)}"}
    return found


def main() -> int:
    """Estimate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="+", metavar="BUNDLE RESULT")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if len(given.pairs) % 2:
        parser.error("each bundle needs its result after it")
    peak: Peak = peak_of(HERE)
    pairs = zip(given.pairs[::2], given.pairs[1::2], strict=True)
    rows = rows_of({str(bundle): measured_rows(result, bundle, peak, given.threads) for bundle, result in pairs})
    about = {"gflops": peak.gflops, "gb_s": peak.gb_s, "device": read_device().to_json()}
    print(json.dumps({**summary(rows), "rows": rows, **about}, indent=2))  # noqa: T201  the script's result
    return 0


if __name__ == "__main__":
    sys.exit(main())
