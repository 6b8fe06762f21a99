"""Choosing and opening the variant of a bundle that suits this machine."""

from __future__ import annotations

import platform
import warnings
from functools import lru_cache
from math import inf

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.engines import ENGINES, FEATURES, Feature, missing
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.processor import VNNI, cpu_flags
from edgeseg.runtime.spec.manifest import Manifest, Variant
from edgeseg.runtime.trt.built_engine import unfit_here

# Engine, precision and needs, best first, where no measurement says otherwise. Reasons: ONNX Runtime is faster in INT8
# than in FP32 where the processor has VNNI; on Arm and on x86 without it, XNNPACK is the faster INT8 engine. What needs
# VNNI is a u8s8 file of an older bundle.
_PREFERENCE: dict[str, tuple[str, ...]] = {
    "x86-vnni": ("onnxruntime int8 vnni", "litert int8", "onnxruntime int8", "onnxruntime fp32", "litert fp32"),
    "x86": ("litert int8", "onnxruntime fp32", "litert fp32", "onnxruntime int8"),
    "arm64": ("litert int8", "onnxruntime int8", "litert fp32", "onnxruntime fp32"),
}
_ARCHITECTURES = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm64", "arm64": "arm64", "arm64-v8a": "arm64"}


def open_best(bundle: Bundle, threads: int | None = None) -> tuple[Variant, Backend]:
    """Open the best variant that opens; warns of each better one that its engine refused.

    Args:
        bundle: The open bundle.
        threads: Threads of the engine.

    Raises:
        BackendError: If no variant can run here, with what to install, or every engine refuses its file, with why.
        BundleError: If a model file is damaged.
    """
    refused: dict[str, str] = {}
    for variant in rank(bundle.manifest):
        content = bundle.read(variant.file)
        try:
            backend = open_backend(content, variant.spec, threads)
        except BackendError as err:
            refused[variant.name] = str(err)
            continue
        for name, reason in refused.items():
            warnings.warn(f"Variant {name} is passed over for {variant.name}: {reason}", RuntimeWarning, stacklevel=4)
        return variant, backend
    reasons = "; ".join(f"{one.name}: {unfit_reason(one) or refused[one.name]}" for one in bundle.variants)
    raise BackendError(f"No variant of bundle {bundle.manifest.name!r} can run on this machine ({reasons}).")


def refusals(bundle: Bundle) -> dict[str, str | None]:
    """Return by name why a variant does not run on this machine, or None: then its engine has opened it.

    Raises:
        BundleError: If a model file is damaged.
    """
    reasons = {variant.name: unfit_reason(variant) for variant in bundle.variants}
    for variant in rank(bundle.manifest):
        content = bundle.read(variant.file)
        try:
            open_backend(content, variant.spec).close()
        except BackendError as err:
            reasons[variant.name] = str(err)
    return reasons


def rank(manifest: Manifest) -> list[Variant]:
    """Return the variants that can run on this machine, the best first.

    The rule, in this order:
    1. Only variants whose engine is installed, on a processor that has what they need, such as VNNI; of engine files
       those that were built for this GPU, this TensorRT and this driver.
    2. Last those a `measured` row of this machine's target calls anything but `ok` (e.g. `refused` by a latency gate).
    3. An engine file that was proven on this kind of GPU first: it was packed for nothing else.
    4. Where `measured` rows of this target have `total_p50_ms`, those first, by that time.
    5. Then the order documented in `_PREFERENCE` for x86 with VNNI, x86, arm64; kinds it does not name come last, in
       the manifest's order.

    A target is `ARCHITECTURE-ENGINE`, e.g. `x86-ort`, `x86-litert`, `arm64-litert`.
    """
    runnable = [variant for variant in manifest.variants if unfit_reason(variant) is None]
    order = _PREFERENCE.get(machine_kind(), ())

    def place(variant: Variant) -> tuple[bool, bool, float, int]:
        time_ms = _measured_ms(variant)
        kind = " ".join((variant.spec.backend, variant.spec.precision, *variant.needs))
        preferred = order.index(kind) if kind in order else len(order)
        return _status(variant) != "ok", variant.engine is None, inf if time_ms is None else time_ms, preferred

    return sorted(runnable, key=place)


def accepted(manifest: Manifest) -> list[Variant]:
    """Return those of `rank` that no gate refused for this machine's target; all of them where none is left."""
    ranked = rank(manifest)
    return [variant for variant in ranked if _status(variant) == "ok"] or ranked


def unfit_reason(variant: Variant) -> str | None:
    """Return why a variant should not be chosen on this machine and what would help, or None if it may."""
    if reason := cannot_run(variant):
        return reason
    lacking = _lacking(variant.needs)
    if lacking:
        made_for = f"it is made for {lacking[0].machine_kind}"
        return f"{wrong_here(variant) or made_for}; ask for it by name to run it nevertheless"
    return None


def cannot_run(variant: Variant) -> str | None:
    """Return why a variant runs here under no circumstances: no engine, no GPU, an engine file for another; or None."""
    absent = missing(variant.spec.backend)
    if absent or variant.engine is None:
        return absent
    return unfit_here(variant.spec.backend, variant.engine)


def wrong_here(variant: Variant) -> str | None:
    """Return why a variant's masks on this processor are not those it was accepted for, or None."""
    return wrong_without(variant.needs)


def wrong_without(needs: tuple[str, ...]) -> str | None:
    """Return what is wrong on this processor with a file that needs these features, or None."""
    return next((one.without for one in _lacking(needs) if one.architecture == machine_kind()), None)


def target_name(backend: str) -> str:
    """Return what this machine with an engine is called in `measured` rows, e.g. `x86-ort`."""
    return f"{machine_kind().removesuffix('-vnni')}-{ENGINES[backend].short}"


def architecture(machine: str) -> str:
    """Return `x86` or `arm64` for what a machine calls its architecture, else that."""
    return _ARCHITECTURES.get(machine.lower(), machine.lower())


@lru_cache(maxsize=1)
def machine_kind() -> str:
    """Return `x86-vnni`, `x86`, `arm64`, or the name Python has for another architecture."""
    kind = architecture(platform.machine())
    return "x86-vnni" if kind == "x86" and cpu_flags() & VNNI else kind


def _lacking(needs: tuple[str, ...]) -> list[Feature]:
    return [FEATURES[name] for name in needs if FEATURES[name].machine_kind != machine_kind()]


def _measured_ms(variant: Variant) -> float | None:
    target = target_name(variant.spec.backend)
    times_ms = [row.get("total_p50_ms") for row in variant.measured if row["target"] == target]
    return min((float(time_ms) for time_ms in times_ms if time_ms is not None), default=None)


def _status(variant: Variant) -> str:
    target = target_name(variant.spec.backend)
    statuses = {str(row.get("status", "ok")) for row in variant.measured if row["target"] == target} - {"ok"}
    return statuses.pop() if statuses else "ok"
