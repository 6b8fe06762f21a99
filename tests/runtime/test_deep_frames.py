"""16-bit images with a window, from the folder to the device."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.data.check import check_dataset
from edgeseg.runtime.data.dataset import content_hash, open_dataset
from edgeseg.runtime.device import commands
from edgeseg.runtime.device.verify import verify_bundle
from edgeseg.runtime.errors import DataError, FrameError, ManifestError
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.predict.order import PredictOrder
from edgeseg.runtime.predict.session import predict
from edgeseg.runtime.score.evaluate import evaluate
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Geometry, InputSpec, Manifest

from .conftest import CLASSES, tiny_spec, write_tiny_onnx
from .data_folders import save, write_folder

WINDOW = (700, 3700)


def yaml(window: object = list(WINDOW)) -> str:
    line = "" if window is None else f"window: {window}\n"
    return f"name: deep\nclasses: {list(CLASSES)}\ncolor: gray\n{line}"


@pytest.fixture
def deep(tmp_path, stripes, stripes_mask) -> Path:
    """A data set of stripes in 16 bits, each a little brighter than the one before."""
    root = write_folder(tmp_path / "deep", yaml=yaml())
    for i in range(9):
        save(root / "images" / f"{i}.png", spread(stripes + np.uint8(i), WINDOW))
        save(root / "masks" / f"{i}.png", stripes_mask)
    return root


@pytest.fixture
def bundle(tmp_path, stripes) -> Path:
    """The tiny model for 16-bit frames: it answers rightly for the right window alone."""
    spec = tiny_spec()
    spec = spec.__class__(**{**spec.__dict__, "input": InputSpec("gray", Geometry("native"), 4, window=WINDOW)})
    source = VariantSource("onnx-fp32", write_tiny_onnx(tmp_path / "tiny.onnx", spec), spec, accuracy={}, opset=17)
    path = tmp_path / "deep.edgeseg"
    pack(path, BundleInfo("deep", "1.0", "tests only", spec.input), [source], [spread(stripes, WINDOW)])
    return path


def test_the_data_set_is_read_with_its_window(deep):
    assert check_dataset(deep) == []
    data = open_dataset(deep)
    assert data.window == WINDOW
    assert {sample.window for sample in data.samples} == {WINDOW}
    hashed = content_hash(data)
    (deep / "dataset.yaml").write_text(yaml([0, 4095]))
    assert content_hash(open_dataset(deep)) != hashed


@pytest.mark.parametrize("window", ["[1, 1]", "[5]", "[0, 70000]", "4095", "[-1, 5]", "[a, b]", "[0.5, 9]", "{lo: 1}"])
def test_what_is_no_window_is_refused_by_key_and_file(deep, window):
    (deep / "dataset.yaml").write_text(yaml(window))
    with pytest.raises(DataError, match=r"dataset\.yaml: line 4: window is .*0 <= lo < hi"):
        open_dataset(deep)


def test_images_of_the_wrong_depth_are_faults_of_their_own(deep, stripes):
    save(deep / "images" / "4.png", stripes + np.uint8(4))
    (fault,) = check_dataset(deep)
    assert (fault.file, fault.kind) == ("images/4.png", "not 16-bit")
    (deep / "dataset.yaml").write_text(yaml(None))
    faults = check_dataset(deep)
    assert {fault.kind for fault in faults} == {"not 8-bit"}
    assert len(faults) == 8
    assert all("window: [lo, hi]" in fault.remedy for fault in faults)


def test_colour_is_seen_in_16_bits_too(deep):
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    cv2.imwrite(str(deep / "images" / "4.png"), spread(rgb, WINDOW))
    assert [fault.kind for fault in check_dataset(deep)] == ["colour in gray"]


def test_the_bundle_carries_the_window_and_its_golden_frames_are_16_bit(bundle, stripes):
    with Bundle.open(bundle) as opened:
        assert opened.manifest.input.window == WINDOW
        assert opened.variants[0].spec.input.window == WINDOW
        golden = opened.manifest.golden[0].input
        assert np.array_equal(decode_png(opened.read(golden), golden), spread(stripes, WINDOW))
        fields = opened.manifest.to_json()
        del fields["input"]["window"]
    with pytest.raises(ManifestError, match="window"):
        Manifest.from_json(fields)
    assert verify_bundle(bundle, allow_unsigned=True)["ok"]


def test_the_segmenter_maps_16_bit_frames_and_takes_no_others(bundle, stripes, stripes_mask):
    with Segmenter.open(bundle) as segmenter:
        assert np.array_equal(segmenter(spread(stripes, WINDOW)).mask, stripes_mask)
        assert np.array_equal(segmenter.batch([spread(stripes, WINDOW)] * 2)[1].mask, stripes_mask)
        with pytest.raises(FrameError, match="uint16, found uint8"):
            segmenter(stripes)


def test_scoring_and_predicting_read_what_the_device_sees(bundle, deep, tmp_path, stripes_mask):
    report = commands.evaluate(commands.BundleChoice(bundle), deep, split="all")
    assert report["accuracy"]["dice_mean"] == 1
    with Segmenter.open(bundle) as segmenter:
        scores = evaluate(segmenter, open_dataset(deep).samples, CLASSES, color="gray")
        assert all(score.fn.sum() == 0 for score in scores)
    save(tmp_path / "flat.png", stripes_mask)
    images = [deep / "images" / "3.png", tmp_path / "flat.png"]
    with predict(commands.BundleChoice(bundle), PredictOrder(tuple(images), tmp_path / "out")) as rows:
        good, flat = rows
    assert np.array_equal(cv2.imread(good["mask"], cv2.IMREAD_UNCHANGED), stripes_mask)
    assert flat["status"] == "failed"
    assert "16-bit" in flat["reason"]


def test_predict_refuses_a_damaged_scan(tiny_bundle, tmp_path):
    good = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (96, 160), np.uint8))[1].tobytes()
    at = len(good) // 2
    for name, bad in {
        "zeroed": good[:at] + bytes(900) + good[at + 900 :],
        "twice": good[:at] + good[at - 900 :],
    }.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(bad)
        assert cv2.imread(str(path)) is not None
        with predict(commands.BundleChoice(tiny_bundle), PredictOrder((path,), tmp_path / "out")) as rows:
            (row,) = rows
        assert row["status"] == "failed"
        assert "damaged" in row["reason"]
