"""The bundle in the repository: what is written beside it holds, on this machine as on a board."""

from __future__ import annotations

from pathlib import Path

import tomllib

from edgeseg.runtime.device.verify import verify_bundle
from edgeseg.runtime.opening.bundle import Bundle

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "demo" / "demo.edgeseg"


def test_every_variant_runs_and_gives_its_golden_masks() -> None:
    report = verify_bundle(BUNDLE)
    assert report["intact"] and {row["name"]: row["status"] for row in report["variants"]} == {
        "onnx-fp32": "ok",
        "tflite-int8": "ok",
    }


def test_it_is_small_and_says_where_it_comes_from() -> None:
    assert BUNDLE.stat().st_size < 1_000_000
    with Bundle.open(BUNDLE) as bundle:
        manifest = bundle.manifest
        card = bundle.read("MODEL_CARD.md").decode()
    assert manifest.git_commit and not manifest.git_commit.endswith("+dirty")
    assert manifest.recipe_sha256 and manifest.data[0]["licence"] == "CC0-1.0"
    assert all(one.accuracy["test"]["dice_mean"] > 0.4 and not one.measured for one in manifest.variants)
    assert "None: it was trained from scratch on the data above." in card


def test_the_wheel_leaves_it_out() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = [ROOT / one for one in (*wheel["packages"], *wheel["force-include"])]
    assert not [one for one in folders if BUNDLE.is_relative_to(one)]
    assert not [path for one in folders for path in one.rglob("*.edgeseg")]
