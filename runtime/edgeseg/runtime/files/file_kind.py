"""What a file is, by its content: names and suffixes are the user's, and lie."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path
from typing import NamedTuple

from edgeseg.runtime.files.onnx_header import read_onnx_header


class FileKind(NamedTuple):
    """A kind of file.

    Attributes:
        key: Short name: `onnx`, `tflite`, `bundle`, `text`, `missing`, ...
        words: What it is, to stand behind `PATH is`.
        remedy: What to do where another kind was wanted, or "".
    """

    key: str
    words: str
    remedy: str = ""


_TORCH = "export the network with torch.onnx.export; pickles are never unpickled here"
_UNPACK = "unpack it and give the file inside"
# (offset, bytes there, kind)
_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (4, b"TFL3", FileKind("tflite", "a TensorFlow Lite model")),
    (4, b"ORTM", FileKind("ort", "a model in ONNX Runtime's own ORT format", "give the .onnx it was made from")),
    (0, b"version https://git-lfs", FileKind("lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`")),
    (0, b"/annex/objects/", FileKind("lfs", "a git-annex pointer, not the file itself", "run `git annex get`")),
    (0, b"\x89HDF\r\n\x1a\n", FileKind("hdf5", "an HDF5 file (Keras weights?)", "export it with tf2onnx")),
    (0, b"\x89PNG\r\n\x1a\n", FileKind("image", "a PNG image")),
    (0, b"\xff\xd8\xff", FileKind("image", "a JPEG image")),
    (0, b"GIF8", FileKind("image", "a GIF image")),
    (0, b"II*\0", FileKind("image", "a TIFF image")),
    (0, b"MM\0*", FileKind("image", "a TIFF image")),
    (0, b"%PDF", FileKind("pdf", "a PDF document")),
    (0, b"\x1f\x8b", FileKind("packed", "compressed by gzip", "unpack it with gunzip or tar first")),
    (0, b"BZh", FileKind("packed", "compressed by bzip2", _UNPACK)),
    (0, b"\xfd7zXZ\0", FileKind("packed", "compressed by xz", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", FileKind("packed", "compressed by zstd", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("packed", "a 7-Zip archive", _UNPACK)),
    (0, b"Rar!", FileKind("packed", "a RAR archive", _UNPACK)),
    (257, b"ustar", FileKind("tar", "a tar archive", _UNPACK)),
    (0, b"Salted__", FileKind("encrypted", "encrypted (by openssl)", "decrypt it first")),
    (0, b"age-encryption.org/", FileKind("encrypted", "encrypted (by age)", "decrypt it first")),
    (0, b"-----BEGIN PGP MESSAGE", FileKind("encrypted", "encrypted (by PGP)", "decrypt it first")),
    (0, b"ftrt", FileKind("tensorrt", "a TensorRT engine", "give the .onnx it was built from")),
    (0, b"ptrt", FileKind("tensorrt", "a TensorRT engine", "give the .onnx it was built from")),
    (0, b"vtrt", FileKind("tensorrt", "a TensorRT engine (for RTX)", "give the .onnx it was built from")),
    (0, b"GGUF", FileKind("gguf", "a GGUF model")),
    (0, b"\x7fELF", FileKind("program", "a program or library (ELF)")),
    (0, b"PAR1", FileKind("table", "a Parquet table")),
    (0, b"SQLite format 3\0", FileKind("table", "an SQLite database")),
    (0, b"\x93NUMPY", FileKind("numpy", "a numpy array")),
)
_HEAD = 4096


def kind_of(path: Path) -> FileKind:
    """Look into a file.

    Args:
        path: Anything, there or not.

    Returns:
        Its kind; files that are missing, empty or cannot be read, and folders, are kinds of their own.
    """
    try:
        if path.is_dir():
            return FileKind("folder", "a folder", "name the file in it")
        if not path.exists():
            link = path.is_symlink()
            return FileKind("missing", "a link to nothing" if link else "not there", "check its path")
        if not path.is_file():
            return FileKind("special", "no regular file", "name a file on disk")
        with path.open("rb") as file:
            head = file.read(_HEAD)
        return _by_content(path, head) if head else FileKind("empty", "empty (0 bytes)", "copy or download it again")
    except PermissionError:
        return FileKind("unreadable", "not readable for you (no permission)", "change its rights")
    except (OSError, ValueError) as err:  # ValueError: a NUL byte in the name
        reason = getattr(err, "strerror", None) or str(err)
        return FileKind("unreadable", f"not readable ({reason})", "check its path")


def refusal(path: Path, wanted: str, kind: FileKind | None = None) -> str:
    """The sentence for a file of another kind: `x.onnx is a folder, but ONNX is needed; name the file in it`.

    Args:
        path: The file.
        wanted: What is needed instead, with its article.
        kind: Of the file; looked up where it is None.
    """
    found = kind or kind_of(path)
    needed = "" if found.key in ("missing", "unreadable", "empty", "lfs", "cut") else f", but {wanted} is needed"
    return f"{path} is {found.words}{needed}" + (f"; {found.remedy}" if found.remedy else "")


def _by_content(path: Path, head: bytes) -> FileKind:  # noqa: PLR0911 - one return a kind
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip_kind(path)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return FileKind("pickle", "a Python pickle (an old PyTorch checkpoint?)", _TORCH)
    if head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < 1 << 30:
        return FileKind("safetensors", "a safetensors file (weights without a graph)", _TORCH)
    header = read_onnx_header(path)
    if header is not None:
        if not header.missing_bytes:
            return FileKind("onnx", "an ONNX model")
        words = f"an ONNX model that was cut off ({header.missing_bytes} bytes are missing)"
        return FileKind("cut", words, "copy or download it again")
    return _text_kind(head) or _unknown(head)


def _zip_kind(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return FileKind("cut", "a zip file that is damaged or cut off", "copy or download it again")
    if {"manifest.json", "SHA256SUMS"} <= set(names):
        return FileKind("bundle", "an edgeseg bundle")
    if any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
        return FileKind("torch", "a PyTorch file (a pickle in a zip)", _TORCH)
    if any(name.endswith(".weights.h5") for name in names):
        return FileKind("keras", "a Keras model", "export it with tf2onnx")
    if "word/document.xml" in names or "xl/workbook.xml" in names:
        return FileKind("office", "an office document")
    inside = next((name for name in names if name.lower().endswith((".onnx", ".tflite", ".edgeseg"))), None)
    words = f"a zip archive of {len(names)} entries" + (f" with {inside} in it" if inside else "")
    return FileKind("zip", words, _UNPACK)


def _text_kind(head: bytes) -> FileKind | None:  # noqa: PLR0911 - one return a kind
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return FileKind("utf16", "text in UTF-16", "save it as UTF-8")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # a letter may be cut in two at the end
    except UnicodeDecodeError:
        return None
    if any(ord(sign) < 32 and sign not in "\t\r\n\f\x1b" for sign in text):
        return None
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype html", "<html")):
        return FileKind("html", "an HTML page (of a download that needed a login?)", "download the file itself")
    if start.startswith("<?xml") and "<net" in text:
        return FileKind("openvino", "an OpenVINO model", "give the .onnx it was made from")
    if start.startswith(("<?xml", "<")):
        return FileKind("xml", "an XML file")
    if start.startswith(("{", "[")):
        return FileKind("json", "a JSON file")
    return FileKind("text", "a text file")


def _unknown(head: bytes) -> FileKind:
    if head[:2] == b"\x08\x01" and head[2:3] == b"\x12":
        return FileKind("savedmodel", "a TensorFlow SavedModel (saved_model.pb)", "export it with tf2onnx")
    if head[:1] == b"\x0a" and b"\x12" in head[:64]:
        return FileKind("protobuf", "a protobuf file of another tool (a frozen TensorFlow graph?)", "export it to ONNX")
    shown = head[:8].hex(" ")
    return FileKind("unknown", f"of no known kind (it begins with {shown}): encrypted or damaged?", "export it again")
