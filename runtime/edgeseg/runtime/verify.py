"""Checking a bundle on the machine it is to run on: hashes, then every variant against its golden masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.bundle import SIGNATURE_ENTRY, Bundle
from edgeseg.runtime.engines import missing
from edgeseg.runtime.errors import ERROR, GATE, OK, EdgesegError
from edgeseg.runtime.golden import decode_png, differing_share
from edgeseg.runtime.manifest import Golden, Variant
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.selection import wrong_here


def verify_bundle(path: Path, threads: int | None = None) -> dict[str, Any]:
    """Check a bundle and say what was checked and what was not.

    Args:
        path: The .edgeseg file.
        threads: Threads of the engines.

    Returns:
        JSON-able report: `ok`; `intact` (form and hashes); `checked` and `not_checked` (sentences); `damaged`
        (entries whose hash is wrong); `variants`, each with `status` `ok | differs | failed | not run`, `reason`,
        `engine`, and per golden input `differing_share` and `max_differing_share`. `ok` needs an intact file, every
        variant that ran to be `ok`, and at least one that ran.

    Raises:
        BundleError: If the file is missing or so damaged that its manifest cannot be trusted.
        ManifestError: If the manifest is wrong or of another version.
    """
    with Bundle.open(path) as bundle:
        damaged = _damaged(bundle)
        variants = [] if damaged else [_run_variant(bundle, variant, threads) for variant in bundle.variants]
        ran = [row for row in variants if row["status"] != "not run"]
        return {
            "bundle": bundle.path.name,
            "name": bundle.manifest.name,
            "bundle_id": bundle.manifest.bundle_id,
            "bundle_version": bundle.manifest.bundle_version,
            "ok": not damaged and bool(ran) and all(row["status"] == "ok" for row in ran),
            "intact": not damaged,
            "checked": _checked(bundle, ran),
            "not_checked": _not_checked(bundle, variants, damaged),
            "damaged": damaged,
            "variants": variants,
        }


def verify_code(report: dict[str, Any]) -> int:
    """Exit code of a report of `verify_bundle`.

    A file that is whole and runs, yet sees something else, breaks a gate; all else that is not ok is an error.
    """
    statuses = {row["status"] for row in report["variants"]}
    broken = GATE if "differs" in statuses and "failed" not in statuses else ERROR
    return OK if report["ok"] else broken


def _damaged(bundle: Bundle) -> list[str]:
    messages: list[str] = []
    for name in bundle.sums:
        try:
            bundle.read(name)
        except EdgesegError as err:
            messages.append(str(err))
    return messages


def _run_variant(bundle: Bundle, variant: Variant, threads: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": variant.name, "status": "not run", "reason": None, "engine": None, "golden": []}
    absent = missing(variant.spec.backend)
    if absent:
        return row | {"reason": absent}
    try:
        with Segmenter(open_backend(bundle.read(variant.file), variant.spec, threads), variant.name) as segmenter:
            row["engine"] = segmenter.engine
            for golden in bundle.manifest.golden:
                row["golden"] += _compare(bundle, golden, variant.name, segmenter)
    except EdgesegError as err:
        return row | {"status": "failed", "reason": str(err)}
    if not row["golden"]:
        return row | {"reason": "the bundle has no golden input for it; it was opened, not run"}
    worst = max(row["golden"], key=lambda one: float(one["differing_share"] - one["max_differing_share"]))
    if worst["differing_share"] <= worst["max_differing_share"]:
        return row | {"status": "ok"}
    reason = (
        f"{worst['input']}: {worst['differing_share']:.3%} of the pixels differ, "
        f"{worst['max_differing_share']:.3%} are allowed"
    )
    wrong = wrong_here(variant)
    return row | {"status": "differs", "reason": f"{reason}: {wrong}" if wrong else reason}


def _compare(bundle: Bundle, golden: Golden, variant: str, segmenter: Segmenter) -> list[dict[str, Any]]:
    """Return one row per expectation of this variant; none where the input has none."""
    rows: list[dict[str, Any]] = []
    for expected in golden.expected:
        if expected.variant != variant:
            continue
        frame = decode_png(bundle.read(golden.input), golden.input)
        truth = decode_png(bundle.read(expected.mask), expected.mask)
        share = differing_share(segmenter(frame).mask, truth)
        rows.append(
            {"input": golden.input, "differing_share": share, "max_differing_share": expected.max_differing_share}
        )
    return rows


def _checked(bundle: Bundle, ran: list[dict[str, Any]]) -> list[str]:
    sentences = [
        "form: a zip of stored entries with plain names",
        f"SHA-256 of {len(bundle.sums)} entries against SHA256SUMS, of {len(bundle.variants)} variants against "
        "the manifest",
        "manifest: keys, types and contradictions",
    ]
    return sentences + [
        f"{row['name']}: {len(row['golden'])} golden input(s) in {row['engine']}" for row in ran if row["golden"]
    ]


def _not_checked(bundle: Bundle, variants: list[dict[str, Any]], damaged: list[str]) -> list[str]:
    signed = SIGNATURE_ENTRY in bundle.names
    sentences = ["signature: present, not checked by this version" if signed else "signature: not signed"]
    sentences.append("accuracy: golden masks show that the model runs as packed, not how well it sees")
    if damaged:
        sentences.append("variants: not run, since the file is damaged")
    return sentences + [f"{row['name']}: {row['reason']}" for row in variants if row["status"] == "not run"]
