"""The variant of a bundle that is the fastest on this machine: measured shortly when first asked for, then remembered.

Asked for by name alone, since variants differ in a few pixels: a choice by the clock would change masks from machine to
machine, and from one busy moment to the next, for whoever did not ask.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.cores import default_threads
from edgeseg.runtime.engines import installed_version
from edgeseg.runtime.errors import BackendError, EdgesegError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.user_cache import cache_folder
from edgeseg.runtime.frame.blank import blank_frame
from edgeseg.runtime.frame.preprocess import in_dtype, prepare
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import accepted
from edgeseg.runtime.processor import cpu_flags
from edgeseg.runtime.spec.fields import read_json_object
from edgeseg.runtime.spec.manifest import Variant

_LOG = logging.getLogger(__name__)
_ROUNDS, _LEAST_ROUNDS, _LONG_S = 20, 4, 2.0  # the first round is not counted
_CLEARLY = 0.95  # of the preferred variant's time: what is hardly shorter is no reason to leave it


def fastest_variant(bundle: Bundle, threads: int | None) -> str | None:
    """Return the name of the fastest of the accepted variants, or None where none runs here.

    What was measured is kept in the user's cache, for this bundle, machine, number of threads and versions of engines.
    Such a record can do no more than choose among the accepted variants. Where none can be kept, it is measured at each
    opening.

    Args:
        bundle: The open bundle.
        threads: Threads of the engine; None takes `default_threads()`.

    Raises:
        BundleError: If a model file is damaged.
    """
    variants = accepted(bundle.manifest)
    if len(variants) < 2:
        return variants[0].name if variants else None
    threads = threads or default_threads()
    key = _key(bundle, variants, threads)
    known = _remembered(key, variants)
    if known is not None:
        return known
    times_ms = _times_ms(bundle, variants, threads)
    if not times_ms:
        return None
    first, best = next(iter(times_ms)), min(times_ms, key=times_ms.__getitem__)
    name = best if times_ms[best] < _CLEARLY * times_ms[first] else first
    facts = {"event": "variant_measured", "variant": name, "times_ms": times_ms}
    _LOG.info("%s: %s is the fastest here (%s)", bundle.path, name, _told(times_ms), extra=facts)
    _remember(key, name, times_ms)
    return name


def _key(bundle: Bundle, variants: Sequence[Variant], threads: int) -> str:
    engines = [(one.name, installed_version(one.spec.backend)) for one in variants]
    # A home folder may be shared by machines.
    machine = [platform.node(), platform.machine(), sorted(cpu_flags())]
    told = json.dumps([bundle.sums_sha256, engines, threads, machine])
    return hashlib.sha256(told.encode()).hexdigest()


def _remembered(key: str, variants: Sequence[Variant]) -> str | None:
    try:
        path = cache_folder("variants") / f"{key}.json"
        name = read_json_object(path.read_bytes(), str(path)).get("variant")
    except (OSError, EdgesegError):  # not there, or not ours any more: measured again
        return None
    return next((one.name for one in variants if one.name == name), None)


def _remember(key: str, name: str, times_ms: Mapping[str, float]) -> None:
    try:
        write_json(cache_folder("variants") / f"{key}.json", {"variant": name, "times_ms": dict(times_ms)})
    except (OSError, EdgesegError) as error:
        _LOG.info("The fastest variant is measured again at the next opening: %s", error)


def _times_ms(bundle: Bundle, variants: Sequence[Variant], threads: int) -> dict[str, float]:
    """Median time of one inference by name, in the order of `variants`; those that fail are left out [ms]."""
    golden = bundle.manifest.golden
    frame = None if not golden else decode_png(bundle.read(golden[0].input), f"{bundle.path}: {golden[0].input}")
    samples: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        opened: dict[str, tuple[Backend, np.ndarray]] = {}
        for one in variants:
            spec = one.spec
            try:
                backend = stack.enter_context(open_backend(bundle.read(one.file), spec, threads))
                tensor = prepare(blank_frame(spec.input) if frame is None else frame, spec.input).tensor[:1]
                opened[one.name] = backend, in_dtype(tensor, spec.input_dtype)
                backend.infer(opened[one.name][1])
            except BackendError as error:
                opened.pop(one.name, None)
                _LOG.info("%s: %s is not measured: %s", bundle.path, one.name, error)
        start = perf_counter()
        for number in range(_ROUNDS):  # in turns: what slows the machine for a moment slows all of them
            if number >= _LEAST_ROUNDS and perf_counter() - start > _LONG_S:
                break
            for name, (backend, tensor) in opened.items():
                begun = perf_counter()
                backend.infer(tensor)
                samples.setdefault(name, []).append((perf_counter() - begun) * 1000)
    return {name: round(float(np.median(times[1:])), 3) for name, times in samples.items()}


def _told(times_ms: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {time_ms:.3g} ms" for name, time_ms in times_ms.items())
