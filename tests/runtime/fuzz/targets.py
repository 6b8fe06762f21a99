"""What reads bytes from outside, each with inputs that are right. A target raises nothing but an EdgesegError."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeseg.runtime import Worker, WorkerConfig
from edgeseg.runtime.data.imagefile import orientation, read_image, read_mask
from edgeseg.runtime.device.selfcheck import FOLDER as PROBES
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.files.file_kind import kind_of
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle, identity
from edgeseg.runtime.opening.selection import rank
from edgeseg.runtime.opening.step_folder import read_spec
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Manifest, ModelSpec

from .mutation import with_right_checksums

SUFFIXES = (".onnx", ".tflite")
_PATIENCE_S = 600.0  # a machine that holds everything still for a while must not look like an engine that hangs
FILES = {"variants/a.onnx": b"a", "golden/0.png": b"b", "golden/0.mask.png": b"c"}


@dataclasses.dataclass(frozen=True)
class Target:
    """One reader: `run(content, folder)` reads it, by way of a file in the folder where the reader takes files."""

    seeds: Sequence[bytes]
    run: Callable[[bytes, Path], None]


def images() -> list[bytes]:
    """Small images of every container and coding."""
    rng = np.random.default_rng(0)
    gray = cv2.resize(rng.integers(0, 256, (5, 7), np.uint8), (28, 20), interpolation=cv2.INTER_CUBIC)
    color = np.dstack((gray, gray[::-1], gray[:, ::-1]))
    deep = gray.astype(np.uint16) * 257
    codings = [
        *(((".png"), one, ()) for one in (gray, color, deep, np.dstack((color, gray)))),
        *((".jpg", one, ()) for one in (gray, color)),
        (".jpg", color, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".jpg", gray, (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
        (".bmp", gray, ()),
        (".bmp", color, ()),
        *((".tiff", gray, (cv2.IMWRITE_TIFF_COMPRESSION, kind)) for kind in (1, 5, 8, 32773)),
        (".tiff", deep, ()),
        (".tiff", color, (cv2.IMWRITE_TIFF_COMPRESSION, 7)),
        (".webp", color, (cv2.IMWRITE_WEBP_QUALITY, 101)),
        (".webp", color, (cv2.IMWRITE_WEBP_QUALITY, 50)),
    ]
    found = []
    for suffix, pixels, params in codings:
        with contextlib.suppress(cv2.error):  # an OpenCV built without this coding
            found.append(cv2.imencode(suffix, pixels, list(params))[1].tobytes())
    return found


def read_any_image(content: bytes, folder: Path) -> None:
    """As a frame, gray and in colour, as a mask, and what looks at it besides."""
    path = folder / "image"
    variants = [content, with_right_checksums(content)] if content.startswith(b"\x89PNG") else [content]
    for data in variants:
        path.write_bytes(data)
        for read in (
            lambda: read_image(path, "gray", thorough=True),
            lambda: read_image(path, "rgb", (0, 65535)),
            lambda: read_mask(path, 3),
            lambda: orientation(path),
        ):
            with contextlib.suppress(EdgesegError):
                read()
        with contextlib.suppress(EdgesegError):
            decode_png(data, "golden/0.png")


def read_manifest(content: bytes, folder: Path) -> None:
    Manifest.from_bytes(content).to_json()


def read_bundle(content: bytes, folder: Path) -> None:
    path = folder / "some.edgeseg"
    path.write_bytes(content)
    kind_of(path)
    with Bundle.open(path) as bundle:
        rank(bundle.manifest)
        for name in bundle.names:
            with contextlib.suppress(EdgesegError):
                bundle.read(name)


def read_packed(content: bytes, folder: Path) -> None:
    """The manifest is what is wrong; every hash and its identity are right, or nothing behind them would be reached."""
    read_bundle(zipped({"manifest.json": called_right(content)} | FILES), folder)


def read_spec_file(content: bytes, folder: Path) -> None:
    (folder / "spec.json").write_bytes(content)
    read_spec(folder).to_json()


def open_model(suffix: str) -> Callable[[bytes, Path], None]:
    spec = ModelSpec.from_json(json.loads((PROBES / "specs.json").read_text())[f"fp32{suffix}"])

    def run(content: bytes, folder: Path) -> None:
        path = folder / f"model{suffix}"
        path.write_bytes(content)
        kind_of(path)
        with Segmenter.from_file(path, spec, threads=1) as segmenter:
            segmenter(np.zeros((32, 32), np.uint8))

    return run


def open_in_worker(suffix: str) -> Callable[[bytes, Path], None]:
    """As `open_model`, but no crash, no hang and no memory of the engine's may reach the process that asks."""
    spec = json.loads((PROBES / "specs.json").read_text())[f"fp32{suffix}"]
    config = WorkerConfig(hang_s=_PATIENCE_S, start_s=_PATIENCE_S, memory_mib=1000)

    def run(content: bytes, folder: Path) -> None:
        (folder / f"model{suffix}").write_bytes(content)
        (folder / "spec.json").write_text(json.dumps(spec))
        with Worker.open(folder, threads=1, config=config) as worker:
            worker(np.zeros((32, 32), np.uint8))

    return run


def called_right(content: bytes) -> bytes:
    """The manifest with the `bundle_id` that its content has, where it has a name."""
    try:
        said = json.loads(content)
        its, name = json.dumps(said["bundle_id"], ensure_ascii=False).encode(), str(said["name"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return content
    blank = content.replace(b'"bundle_id": ' + its, b'"bundle_id": ""', 1)
    found = identity(name, blank, {entry: hashlib.sha256(data).hexdigest() for entry, data in FILES.items()})
    return blank.replace(b'"bundle_id": ""', b'"bundle_id": ' + json.dumps(found, ensure_ascii=False).encode(), 1)


def zipped(entries: dict[str, bytes]) -> bytes:
    """A bundle of these entries, with their hashes."""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in entries.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**entries, "SHA256SUMS": sums.encode()}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def manifest() -> bytes:
    """A manifest with every field that one may have."""
    spec = json.loads((PROBES / "specs.json").read_text())["fp32.onnx"]
    digest = hashlib.sha256(b"a").hexdigest()
    row = {"target": "x86-ort", "status": "ok", "total_p50_ms": 1.5}
    variant = {"name": "onnx-fp32", "file": "variants/a.onnx", "sha256": digest, "bytes": 1, "spec": spec}
    variant |= {"accuracy": {"val": {"dice_mean": 0.5}}, "measured": [row], "opset": 17, "ranges": None, "needs": []}
    expected = {"variant": "onnx-fp32", "mask": "golden/0.mask.png", "max_differing_share": 0.01}
    names = ("name", "bundle_id", "bundle_version", "intended_use", "edgeseg_version")
    whole = dict.fromkeys(names, "a") | dict.fromkeys(("previous_bundle", "git_commit", "recipe_sha256"))
    whole |= {"schema_version": 1, "data": [{"name": "d", "n_images": 3}], "pretrained": [], "input": spec["input"]}
    whole |= {"classes": spec["classes"], "decision": {}, "variants": [variant]}
    return json.dumps(whole | {"golden": [{"input": "golden/0.png", "expected": [expected]}]}).encode()


def targets() -> dict[str, Target]:
    spec = json.dumps(json.loads((PROBES / "specs.json").read_text())["fp32.onnx"]).encode()
    bundle = zipped({"manifest.json": called_right(manifest())} | FILES)
    models = {suffix: [path.read_bytes() for path in sorted(PROBES.glob(f"*{suffix}"))] for suffix in SUFFIXES}
    return {
        "image": Target(images(), read_any_image),
        "manifest": Target([manifest()], read_manifest),
        "packed": Target([manifest()], read_packed),
        "bundle": Target([bundle], read_bundle),
        "spec": Target([spec], read_spec_file),
        **{suffix[1:]: Target(seeds, open_model(suffix)) for suffix, seeds in models.items()},
        **{f"{suffix[1:]}-worker": Target(seeds, open_in_worker(suffix)) for suffix, seeds in models.items()},
    }


IN_PROCESS = ("image", "manifest", "packed", "bundle", "spec")
