"""From an engine to a variant of a new bundle, on stand-ins of driver and module; what was only built stays out."""

from __future__ import annotations

import hashlib
import json
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.sources import open_source
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.export.signing.keys import generate
from edgeseg.export.signing.sign import sign
from edgeseg.export.trt.build import BuildOrder, build_engine
from edgeseg.export.trt.prove import ProveOrder, prove_engine
from edgeseg.export.unpack import unpack
from edgeseg.pipeline import cli
from edgeseg.runtime.device.commands import describe
from edgeseg.runtime.device.verify import verify_bundle
from edgeseg.runtime.errors import BackendError, ConfigError, EdgesegError, ExportError, GateError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.trt import built_engine
from edgeseg.runtime.trt.built_engine import engine_folder
from edgeseg.runtime.trt.gpu import find_gpu

from ...runtime.trt.board import ORIN, engine, write
from .api import needs_rtx
from .test_build import SM86

FLOAT = [{"Name": "Conv_0", "LayerType": "gemm", "Inputs": [], "Weights": {"Type": "Float"}}]
INT8 = [{"Name": "Conv_0", "LayerType": "gemm", "Inputs": [], "Weights": {"Type": "Int8"}}]


def source_of(bundle: Path) -> dict[str, str]:
    with Bundle.open(bundle) as opened:
        return {"variant": "onnx-fp32", "sha256": opened.variant("onnx-fp32").sha256}


def built(bundle: Path, folder: Path, *, layers: Any = FLOAT, shift: float = 0.0, **changes: Any) -> Path:
    """An engine of the tiny network as `edgeseg build` leaves it on the board."""
    content = engine((1, 64, 96, 1), layers=layers, shift=shift)
    return write(folder, content, **{"source": source_of(bundle)} | changes)


def order(tmp_path: Path, file: Path | None = None, **changes: Any) -> ProveOrder:
    return ProveOrder(
        **{"variant": "trt-fp32", "out": tmp_path / "new.edgeseg", "bundle_version": "2"} | changes, engine=file
    )


def test_a_proven_engine_is_a_variant_of_a_new_bundle(board, tiny_bundle, tmp_path) -> None:
    before = tiny_bundle.read_bytes()
    file = built(tiny_bundle, tmp_path / "built")
    manifest, variant = prove_engine(tiny_bundle, order(tmp_path, file))
    assert tiny_bundle.read_bytes() == before
    new = tmp_path / "new.edgeseg"
    with Bundle.open(tiny_bundle) as old, Bundle.open(new) as opened:
        assert opened.manifest.to_json() == manifest.to_json() and not opened.signatures
        assert manifest.previous_bundle == old.manifest.bundle_id != manifest.bundle_id
        assert manifest.bundle_version == "2" and manifest.variants[:-1] == old.manifest.variants
        assert opened.read(variant.file) == file.read_bytes()
        assert {name: opened.sums[name] for name in old.sums if name.startswith(("variants", "golden"))}.items() <= (
            opened.sums.items()
        )
        assert [one.expected[:-1] for one in manifest.golden] == [one.expected for one in old.manifest.golden]
        assert {one.expected[-1].variant for one in manifest.golden} == {"trt-fp32-orin"}
        assert "trt-fp32-orin" in opened.read("MODEL_CARD.md").decode()
    record = variant.engine.content
    assert record["evidence"] == "device" and record["source"] == source_of(tiny_bundle)
    assert record["proof"] == {
        "gpu": ORIN._asdict(),
        "golden": {"against": "onnx-fp32", "frames": 2, "differing_share": 0.0, "most": 0.0001},
        "layers": {"fp32": 1},
        "int8_unknown": [],
    }
    report = verify_bundle(new, allow_unsigned=True)
    assert report["ok"] and {row["name"]: row["status"] for row in report["variants"]}["trt-fp32-orin"] == "ok"


def test_it_is_chosen_where_it_fits_and_says_why_not_elsewhere(
    board,
    tiny_bundle,
    tmp_path,
    monkeypatch,
) -> None:
    prove_engine(tiny_bundle, order(tmp_path, built(tiny_bundle, tmp_path / "built")))
    new, frame = tmp_path / "new.edgeseg", np.random.default_rng(3).integers(0, 256, (50, 60), np.uint8)
    with Segmenter.open(new) as chosen, Segmenter.open(new, "onnx-fp32") as plain:
        assert (chosen.name, chosen.engine) == ("trt-fp32-orin", "tensorrt 10.3.0")
        np.testing.assert_array_equal(chosen(frame).mask, plain(frame).mask)
    assert describe(new)["chosen"] == "trt-fp32-orin"
    generate(tmp_path / "release.key")
    sign(new, tmp_path / "release.key", "release", date(2026, 11, 28))
    assert describe(new)["chosen"] == "trt-fp32-orin", "signing changes nothing of it"

    reason = "it was built for compute capability sm87, here is sm89"
    monkeypatch.setattr(built_engine, "find_gpu", lambda: ORIN._replace(capability="sm89"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # it is none for here: nothing was passed over
        with Segmenter.open(new) as chosen:
            assert chosen.name.startswith("onnx-")
    assert {row["name"]: row["unfit"] for row in describe(new)["variants"]}["trt-fp32-orin"] == reason
    with pytest.raises(BackendError, match=f"trt-fp32-orin is an engine for another machine: {reason}"):
        Segmenter.open(new, "trt-fp32-orin")
    row = verify_bundle(new, allow_unsigned=True)["variants"][-1]
    assert (row["status"], row["reason"]) == ("not run", reason)


def test_the_engine_of_this_machines_cache_is_the_default(board, tiny_bundle, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"no trt-fp32 was built on this machine .*edgeseg build .*tiny.edgeseg"):
        prove_engine(tiny_bundle, order(tmp_path))
    built(tiny_bundle, engine_folder(source_of(tiny_bundle)["sha256"], "tensorrt", "10.3.0", ORIN))
    assert prove_engine(tiny_bundle, order(tmp_path, name="fast")).variant.name == "fast"
    with pytest.raises(ConfigError, match="has a variant fast already; give the new one another --name"):
        prove_engine(tmp_path / "new.edgeseg", order(tmp_path, name="fast", out=tmp_path / "third.edgeseg"))


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("changes", "more", "error", "words"),
    [
        (
            {"shift": 1.0},
            {},
            GateError,
            r"differ from those of onnx-fp32 in \d+\.\d+% of the pixels; 0\.01% are allowed",
        ),
        ({"variant": "trt-int8"}, {"variant": "trt-int8"}, ExportError, "no layer of the engine is computed in INT8"),
        ({"variant": "trt-int8"}, {}, ConfigError, "is trt-int8, as its record says, not trt-fp32"),
        ({"source": {"sha256": "1" * 64}}, {}, ExportError, "built from a file of SHA-256 1+, which .* does not have"),
        ({"layers": []}, {}, ExportError, "says nothing of its layers' precision"),
        (
            {"gpu": ORIN._replace(name="Xavier")._asdict()},
            {},
            BackendError,
            "for another machine: it was built for the",
        ),
        ({"module": "tensorrt_llm"}, {}, BackendError, "built by tensorrt_llm, which this edgeseg does not know"),
        ({}, {"bundle_version": "2", "name": "a b"}, EdgesegError, "variant.name: expected letters"),
    ],
)
def test_what_is_not_proven_is_not_packed(tiny_bundle, tmp_path, changes, more, error, words) -> None:
    file = built(tiny_bundle, tmp_path / "built", **changes)
    with pytest.raises(error, match=words):
        prove_engine(tiny_bundle, order(tmp_path, file, **more))
    assert not (tmp_path / "new.edgeseg").exists()


def test_int8_that_is_none_is_refused_and_int8_is_counted(board, tiny_bundle, tmp_path) -> None:
    file = built(tiny_bundle, tmp_path / "built", layers=INT8, variant="trt-int8")
    variant = prove_engine(tiny_bundle, order(tmp_path, file, variant="trt-int8")).variant
    assert (variant.spec.precision, variant.engine.content["proof"]["layers"]) == ("int8", {"int8": 1})


def test_the_bundle_itself_and_missing_files_are_refused(board, tiny_bundle, tmp_path) -> None:
    file = built(tiny_bundle, tmp_path / "built")
    with pytest.raises(ConfigError, match="is the bundle itself, which never changes"):
        prove_engine(tiny_bundle, order(tmp_path, file, out=tiny_bundle))
    with pytest.raises(ConfigError, match=r"--engine .*none.engine cannot be read \(No such file"):
        prove_engine(tiny_bundle, order(tmp_path, tmp_path / "none.engine"))
    file.with_suffix(".json").unlink()
    with pytest.raises(BackendError, match="no record beside it"):
        prove_engine(tiny_bundle, order(tmp_path, file))
    with pytest.raises(ConfigError, match="--variant trt-bf16 is none of"):
        order(tmp_path, variant="trt-bf16")


def test_unpacked_or_measured_it_goes_with_its_record(board, tiny_bundle, tmp_path) -> None:
    prove_engine(tiny_bundle, order(tmp_path, built(tiny_bundle, tmp_path / "built")))
    with Bundle.open(tmp_path / "new.edgeseg") as opened:
        assert unpack(opened, tmp_path / "step", "trt-fp32-orin") == ("model.engine", "spec.json", "model.json")
    with Segmenter.open(tmp_path / "step") as segmenter:
        assert segmenter.engine == "tensorrt 10.3.0"
    with open_source([tmp_path / "new.edgeseg"], "onnx-fp32,trt-fp32-orin") as source:
        sent = Measurement(source.subjects, None, "", HarnessConfig()).files(tmp_path)
        assert sorted(sent) == ["0/onnx-fp32.onnx", "1/trt-fp32-orin.engine", "1/trt-fp32-orin.json"]
        with Segmenter.from_file(sent["1/trt-fp32-orin.engine"], source.subjects[1].spec) as segmenter:
            assert segmenter.engine == "tensorrt 10.3.0"


def test_the_command(board, tiny_bundle, tmp_path) -> None:
    file = built(tiny_bundle, tmp_path / "built")
    words = ["prove", tiny_bundle, "--variant", "trt-fp32", "--engine", file, "--out", tmp_path / "new.edgeseg"]
    done = CliRunner().invoke(cli.app, [*map(str, words), "--bundle-version", "2"])
    assert done.exit_code == 0, done.stderr
    assert "layers as they are computed: 1 fp32" in done.stdout and "edgeseg sign" in done.stdout
    shifted = built(tiny_bundle, tmp_path / "built", shift=1.0)
    done = CliRunner().invoke(cli.app, [*map(str, words), "--bundle-version", "2", "--json"])
    assert shifted == file and done.exit_code == 3 and "It is not packed" in " ".join(done.stderr.split())


@needs_rtx
@pytest.mark.skipif(find_gpu() is not None, reason="needs a machine without a GPU")
def test_a_real_engine_that_was_only_built_is_never_packed(bundle, tmp_path) -> None:
    build_engine(bundle, BuildOrder("trt-fp32", tmp_path / "engines", config=SM86))
    file = tmp_path / "engines" / "trt-fp32.sm86.engine"
    with pytest.raises(
        BackendError, match=r"An engine is proven by running it, and no NVIDIA GPU .* run edgeseg prove"
    ):
        prove_engine(bundle, order(tmp_path, file))
    assert not (tmp_path / "new.edgeseg").exists()
    record = json.loads(file.with_suffix(".json").read_text())
    assert record["evidence"] == "built" and record["engine"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
