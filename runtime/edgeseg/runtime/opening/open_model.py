"""From a bundle or a step's folder to an open engine: the variant that was named, or the best one here."""

from __future__ import annotations

import warnings
from pathlib import Path

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import open_best, wrong_here
from edgeseg.runtime.opening.step_folder import open_step
from edgeseg.runtime.trt.built_engine import find_built
from edgeseg.runtime.trust.policy import Policy, device_policy

_FASTEST = "fastest"


def open_model(path: Path, variant: str | None, threads: int | None, policy: Policy | None) -> tuple[Backend, str]:
    """Return the open backend and what it is called; warns and raises as `Segmenter.open`, which calls it."""
    asked = device_policy() if policy is None else policy
    if path.is_dir():
        asked.check_folder(path)
        model, spec = open_step(path)
        if variant not in (None, path.name):
            raise BundleError(f"{path} is one model, no bundle: it has no variant {variant!r}. Leave it out.")
        return open_backend(model, spec, threads), path.name
    with Bundle.open(path, asked) as bundle:
        if variant == _FASTEST and variant not in {one.name for one in bundle.variants}:
            from edgeseg.runtime.opening.fastest import fastest_variant

            variant = fastest_variant(bundle, threads)
        if variant is None:
            entry, backend = open_best(bundle, threads)
            return backend, entry.name
        if variant not in {one.name for one in bundle.variants} and (built := find_built(bundle.manifest, variant)):
            return open_backend(*built, threads), variant
        entry = bundle.variant(variant)
        backend = open_backend(bundle.read(entry.file), entry.spec, threads)
        wrong = wrong_here(entry)
        if wrong is not None:
            said = f"{path}: masks of {variant} may differ from those it was accepted for: {wrong}"
            warnings.warn(said, RuntimeWarning, stacklevel=3)
    return backend, entry.name
