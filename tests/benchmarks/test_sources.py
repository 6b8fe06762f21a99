import json

import numpy as np
import pytest

from edgeseg.benchmarks.sources import choose, load_frame, open_source, procedural_frame, subject_from_folder
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.errors import BundleError, ConfigError, DataError, ManifestError
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Geometry, InputSpec


@pytest.fixture
def bundle(tmp_path, make_model, spec, frame):
    variants = [
        VariantSource("onnx-fp32", make_model("a"), spec, {"test": {"dice_mean": 0.75}}),
        VariantSource("onnx-wide", make_model("b", 16), spec),
    ]
    pack(tmp_path / "part.edgeseg", BundleInfo("part", "1", "tests only", spec.input), variants, [frame])
    return tmp_path / "part.edgeseg"


def test_the_variants_of_a_bundle_byte_for_byte(bundle, tmp_path, frame):
    with open_source([bundle], "all") as source:
        first, second = source.subjects
        assert (first.name, second.name) == ("onnx-fp32", "onnx-wide")
        assert first.model.read_bytes() == (tmp_path / "a" / "model.onnx").read_bytes()
        assert first.accuracy == {"test": {"dice_mean": 0.75}} and second.accuracy is None
        pixels, name = load_frame(None, source)
        assert np.array_equal(pixels, frame) and name.startswith("golden/")
        Segmenter.from_file(first.model, first.spec, threads=1).close()
        folder = first.model
    assert not folder.exists()


def test_only_the_variants_asked_for(bundle):
    with open_source([bundle], "onnx-wide") as source:
        assert [subject.name for subject in source.subjects] == ["onnx-wide"]
    with pytest.raises(ConfigError, match="there are onnx-fp32, onnx-wide"), open_source([bundle], "onnx-int8"):
        pass


@pytest.mark.parametrize(("wanted", "found"), [("all", ["a", "b"]), ("b, a", ["a", "b"]), ("b,", ["b"])])
def test_choosing_keeps_the_order_of_the_bundle(wanted, found):
    assert choose(["a", "b"], wanted) == found


@pytest.mark.parametrize("wanted", ["", ",", "c", "a,c"])
def test_choosing_nothing_or_something_unknown(wanted):
    with pytest.raises(ConfigError, match="--variant"):
        choose(["a", "b"], wanted)


def test_the_folder_of_a_step(make_model, spec):
    folder = make_model("student").parent
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    subject = subject_from_folder(folder)
    assert (subject.name, subject.spec) == ("student", spec)
    with open_source([folder], "all") as source:
        assert load_frame(None, source)[1] == "procedural 256x256 seed 0"


def test_a_folder_that_is_no_step(make_model, tmp_path):
    with pytest.raises(BundleError, match=r"model.onnx, model.tflite, model.engine; found 0"):
        subject_from_folder(tmp_path)
    folder = make_model("student").parent
    with pytest.raises(BundleError, match="export the step again"):
        subject_from_folder(folder)
    for content in ("{}", "[", '{"backend": "litert", "backend": "onnxruntime"}'):
        (folder / "spec.json").write_text(content)
        with pytest.raises(ManifestError, match=r"spec\.json" + (".*twice" if "litert" in content else "")):
            subject_from_folder(folder)


@pytest.mark.parametrize(
    ("geometry", "color", "shape"),
    [
        (Geometry("native"), "gray", (256, 256)),
        (Geometry("resize", height_px=96, width_px=128), "rgb", (96, 128, 3)),
        (Geometry("tile", tile_px=64, overlap_px=8), "gray", (128, 128)),
    ],
)
def test_a_procedural_frame_fits_the_spec_and_repeats(spec, geometry, color, shape):
    import dataclasses

    changed = dataclasses.replace(spec, input=InputSpec(color, geometry, 2))
    pixels, _ = procedural_frame(changed)
    assert pixels.shape == shape and pixels.dtype == np.uint8 and pixels.std() > 1
    assert np.array_equal(pixels, procedural_frame(changed)[0])


def test_a_16_bit_model_gets_16_bit_frames(spec, bundle, tmp_path):
    import dataclasses

    import cv2

    window = (500, 4000)
    deep = dataclasses.replace(spec, input=InputSpec("gray", Geometry("native"), 2, window=window))
    pixels, _ = procedural_frame(deep)
    assert pixels.dtype == np.uint16 and window[0] <= pixels.min() and pixels.max() <= window[1]
    cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    with open_source([bundle], "all") as source:
        subjects = tuple(dataclasses.replace(one, spec=deep) for one in source.subjects)
        found, _ = load_frame(tmp_path / "deep.png", dataclasses.replace(source, subjects=subjects))
    assert found.dtype == np.uint16 and np.array_equal(found, pixels)


def test_a_frame_that_is_no_image(bundle, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with open_source([bundle], "all") as source, pytest.raises(DataError):
        load_frame(tmp_path / "empty.png", source)
