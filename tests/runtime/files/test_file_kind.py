"""Files are judged by what is in them."""

import gzip
import io
import os
import zipfile

import pytest

from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.files.onnx_header import read_onnx_header
from edgeseg.runtime.opening.bundle import Bundle


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return content.getvalue()


def message(number, content):
    """A protobuf field of bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


OPSET = message(8, bytes([2 << 3, 17]))
TENSOR = message(5, message(13, message(1, b"location") + message(2, b"w.bin")))
ONNX = bytes([1 << 3, 8]) + message(2, b"maker") + message(7, TENSOR) + OPSET


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"", "empty"),
        (ONNX, "onnx"),
        (ONNX[:-12], "cut"),
        (b"\x20\0\0\0TFL3" + bytes(40), "tflite"),
        (b"\x20\0\0\0ORTM" + bytes(40), "ort"),
        (b"\x08\x01\x12\x03abc", "savedmodel"),
        (b"\x0a\x03abc\x12\x01x", "protobuf"),
        (zipped("manifest.json", "SHA256SUMS"), "bundle"),
        (zipped("archive/data.pkl", "archive/version"), "torch"),
        (zipped("model.weights.h5"), "keras"),
        (zipped("a.txt"), "zip"),
        (zipped("a.txt")[:-10], "cut"),
        (b"\x80\x02}q\x00.", "pickle"),
        (gzip.compress(b"x"), "packed"),
        (bytes(257) + b"ustar\0" + bytes(249), "tar"),
        ((40).to_bytes(8, "little") + b'{"w": 1}', "safetensors"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"version https://git-lfs.github.com/spec/v1\n", "lfs"),
        (b"\xef\xbb\xbf  <!DOCTYPE HTML>", "html"),
        (b"<?xml version='1.0'?><net name='x'>", "openvino"),
        (b"Salted__" + bytes(range(100)), "encrypted"),
        (b"ftrt" + bytes(20), "tensorrt"),
        (b"vtrt" + bytes(20), "tensorrt"),
        (b'{"a": 1}', "json"),
        (("x" * 4095 + "\u00e9").encode(), "text"),  # a letter lies across the end of what is read
        ("a: b".encode("utf-16"), "utf16"),
        (bytes(range(200, 256)) * 9, "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # archives hold the time: no two workers have one name
)
def test_kinds(content, key, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    assert kind_of(tmp_path / "model.onnx").key == key


def test_what_is_no_file(tmp_path):
    assert kind_of(tmp_path).key == "folder"
    assert kind_of(tmp_path / "none").key == "missing"
    (tmp_path / "link").symlink_to(tmp_path / "none")
    assert "a link to nothing" in kind_of(tmp_path / "link").words
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert kind_of(tmp_path / "pipe").key == "special"
    assert refusal(tmp_path / "none", "a bundle") == f"{tmp_path / 'none'} is not there; check its path"
    assert refusal(tmp_path, "a bundle").endswith("is a folder, but a bundle is needed; name the file in it")


def test_the_header_of_an_onnx_file_is_read_without_onnx(tmp_path):
    (tmp_path / "a").write_bytes(ONNX)
    header = read_onnx_header(tmp_path / "a")
    assert (header.ir_version, header.opset, header.producer, header.external) == (8, 17, "maker", ("w.bin",))
    (tmp_path / "b").write_bytes(bytes([1 << 3, 8]) + message(7, bytes(9))[:-4])
    assert read_onnx_header(tmp_path / "b").missing_bytes == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped("a.txt"), "a zip archive of 1 entries, but no bundle: manifest.json is missing"),
        (bytes(257) + b"ustar\0" + bytes(249), "a tar archive, but an .edgeseg bundle is needed"),
        (ONNX, "an ONNX model, but an .edgeseg bundle is needed"),
        (zipped("manifest.json", "SHA256SUMS")[:-20], "not a whole zip file"),
    ],
)
def test_a_bundle_that_is_none_is_named(content, words, tmp_path):
    (tmp_path / "part.edgeseg").write_bytes(content)
    with pytest.raises(BundleError, match=words):
        Bundle.open(tmp_path / "part.edgeseg")


def test_a_message_keeps_both_ends():
    long = "load failed\n" + "at some place in C++\n" * 200 + "Unsupported version: 14, max 13.\n"
    short = condensed(ValueError(long))
    assert len(short) <= 700 and short.startswith("load failed at some") and short.endswith("version: 14, max 13")
    assert condensed(ValueError("a\n  b. ")) == "a b"
    assert condensed(KeyError()) == "KeyError" and condensed("") == "no message"
