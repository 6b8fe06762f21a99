"""Writing a variant as model, `contract.json`, one C++ file that has the contract's numbers in it, and golden frames.

The C++ file is `segment.cpp` beside this one, with a block of constants in the place of `@CONTRACT@`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes, write_json, write_text
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.manifest import Variant
from edgeseg.runtime.spec.model_spec import ModelSpec

CODE, CONTRACT = "segment.cpp", "contract.json"

_SCHEMA_VERSION = 1
_BACKEND = "onnxruntime"
_ELEMENTS = {"float32": ("kFloat", 1, "float"), "uint8": ("kUint8", 2, "uint8_t"), "int8": ("kInt8", 3, "uint8_t")}


def write_code(bundle: Bundle, variant: Variant, folder: Path, model: str) -> tuple[str, ...]:
    """Write everything beside the model file that a program without Python needs.

    Args:
        bundle: An open bundle.
        variant: One of it.
        folder: Where `model` is.
        model: Name of the model file.

    Returns:
        The files, relative to `folder`: the contract, the code, and the golden frames with this variant's masks.

    Raises:
        ExportError: If the file knows no way to run this variant.
        BundleError: If an entry is damaged.
    """
    _check(bundle, variant)
    golden = list(_golden(bundle, variant, folder))
    manifest = bundle.manifest
    write_json(
        folder / CONTRACT,
        {
            "schema_version": _SCHEMA_VERSION,
            "bundle_id": manifest.bundle_id,
            "bundle_version": manifest.bundle_version,
            "variant": variant.name,
            "model": model,
            "sha256": variant.sha256,
            "spec": variant.spec.to_json(),
            "golden": golden,
        },
    )
    template = (Path(__file__).parent / CODE).read_text(encoding="utf-8")
    about = f"// Variant {variant.name} of {manifest.bundle_id}, {model} with SHA-256\n// {variant.sha256}."
    write_text(folder / CODE, template.replace("@CONTRACT@", "\n".join((about, *_constants(variant.spec)))))
    return (CONTRACT, CODE, *(one[key] for one in golden for key in ("frame", "mask")))


def _check(bundle: Bundle, variant: Variant) -> None:
    spec = variant.spec
    problem = None
    if spec.backend != _BACKEND:
        able = ", ".join(one.name for one in bundle.variants if one.spec.backend == _BACKEND) or "none"
        problem = f"is for {spec.backend}, the C++ file runs ONNX Runtime. Variants for that here: {able}"
    elif spec.input.geometry.mode == "tile":
        problem = "cuts frames into tiles, which the C++ file does not. Use the Python runtime"
    elif spec.input.geometry.interpolation == "nearest":
        problem = "scales frames by nearest neighbours, which the C++ file does not. Use the Python runtime"
    elif spec.output.kind != "scores":
        problem = "returns class ids, the C++ file reads scores. Export it with scores, or use the Python runtime"
    if problem:
        raise ExportError(f"{bundle.path}: variant {variant.name!r} {problem}.")


def _constants(spec: ModelSpec) -> list[str]:
    """The contract's numbers as C++."""
    geometry, output = spec.input.geometry, spec.output
    name, element, score = _ELEMENTS[output.dtype]
    lo, hi = spec.input.window or (0, 255)
    integers = {
        "kChannels": (spec.input.channels, "1 gray, 3 RGB"),
        "kWindowLo": (lo, "16-bit values that become 0 ..."),
        "kWindowHi": (hi, "... and 255"),
        "kHeight": (geometry.height_px or 0, "of the network's input before padding [px]; 0 = the frame's own"),
        "kWidth": (geometry.width_px or 0, "likewise"),
        "kStride": (spec.input.stride_px, "sides are padded to a multiple of it [px]"),
        "kOutputStride": (output.stride_px, "input pixels per score"),
        "kPlanes": (spec.n_planes, ", ".join(spec.classes if spec.n_planes > 1 else spec.classes[1:])),
        "kOutputType": (element, f"{name}: element type of the scores"),
        "kZeroPoint": (output.zero_point, "logit = scale * (score - zero point)"),
        "kMinAreaPx": (spec.decision.min_area_px, "a part is rejected for a region of at least this"),
    }
    switches = {
        "kWindow": (spec.input.window is not None, "frames have 16 bits"),
        "kResize": (geometry.mode == "resize", "frames are scaled to kHeight x kWidth"),
        "kArea": (geometry.interpolation == "area", "by averaging"),
        "kHalving": (geometry.interpolation == "halving", "by halves and then linearly, else linearly alone"),
        "kInputInt8": (spec.input_dtype == "int8", "the network takes pixels - 128"),
        "kPlanesFirst": (output.layout == "NCHW", "axes of the scores"),
        "kSigmoid": (output.activation == "sigmoid", "one plane, compared with kProbability"),
    }
    reals = {"kScale": output.scale, "kProbability": spec.decision.value}
    return [
        *(f"constexpr int {key} = {value};  // {_comment(said)}" for key, (value, said) in integers.items()),
        *(f"constexpr bool {key} = {str(value).lower()};  // {said}" for key, (value, said) in switches.items()),
        *(f"constexpr double {key} = {value!r};" for key, value in reals.items()),
        f"using Score = {score};",
    ]


def _comment(text: str) -> str:
    """Printable ASCII without a backslash: a class name cannot lead out of its comment."""
    return "".join(char if " " <= char <= "~" and char != "\\" else "?" for char in text)


def _golden(bundle: Bundle, variant: Variant, folder: Path) -> list[dict[str, Any]]:
    """Write the golden frames and this variant's masks as PGM and PPM, which any program can read."""
    rows = []
    for golden in bundle.manifest.golden:
        for expected in golden.expected:
            if expected.variant != variant.name:
                continue
            frame = decode_png(bundle.read(golden.input), golden.input)
            stem = Path(golden.input).stem
            names = {"frame": f"golden/{stem}.{'pgm' if frame.ndim == 2 else 'ppm'}", "mask": f"golden/{stem}.mask.pgm"}
            write_bytes(folder / names["frame"], _pnm(frame))
            write_bytes(folder / names["mask"], _pnm(decode_png(bundle.read(expected.mask), expected.mask)))
            rows.append({**names, "max_differing_share": expected.max_differing_share})
    return rows


def _pnm(pixels: np.ndarray) -> bytes:
    """Binary PGM of (H, W) or PPM of (H, W, 3) RGB, uint8 or uint16."""
    kind, ordered = (".pgm", pixels) if pixels.ndim == 2 else (".ppm", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return cv2.imencode(kind, ordered)[1].tobytes()
