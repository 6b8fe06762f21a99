"""Checking a bundle on the machine it is to run on: hashes, then every variant against its golden masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.errors import ERROR, GATE, OK, EdgesegError
from edgeseg.runtime.golden import LEAST_OVERLAP, decode_png, differing_share, is_lost, overlap
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import cannot_run, wrong_here
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Golden, Variant
from edgeseg.runtime.trust.policy import ANY, Policy, device_policy
from edgeseg.runtime.trust.verdict import Verdict, judge


def verify_bundle(
    path: Path, threads: int | None = None, policy: Policy | None = None, *, allow_unsigned: bool = False
) -> dict[str, Any]:
    """Check a bundle and say what was checked and what was not.

    Args:
        path: The .edgeseg file.
        threads: Threads of the engines.
        policy: Which keys are trusted and what is asked for; None is this device's policy.
        allow_unsigned: Take a bundle that no trusted key has signed, where the policy does not ask for a signature.

    Returns:
        JSON-able report: `ok`; `intact` (form and hashes); `checked` and `not_checked` (sentences); `damaged`
        (entries whose hash is wrong); `signed` (by a trusted key); `signatures`, each with `role`, `date`, `key_id`,
        `status` (see `trust.verdict`) and `reason`; `refused` (why the policy does not take it); `variants`, each with
        `status` `ok | differs | failed | not run`, `reason`, `engine`, and per golden input `differing_share`,
        `max_differing_share` and `overlap` (None: too little is marked there to tell). `ok` needs an intact file that
        is not refused and is signed or may be unsigned, every variant that ran to be `ok`, and at least one that ran.
        What is damaged or refused is not run.

    Raises:
        BundleError: If the file is missing or so damaged that its manifest cannot be trusted.
        ManifestError: If the manifest is wrong or of another version.
    """
    asked = device_policy() if policy is None else policy
    with Bundle.open(path, ANY) as bundle:
        damaged = _damaged(bundle)
        verdict = judge(asked, bundle.manifest.name, bundle.manifest.bundle_version, bundle.signatures)
        stopped = damaged or verdict.refusals
        variants = [] if stopped else [_run_variant(bundle, variant, threads) for variant in bundle.variants]
        ran = [row for row in variants if row["status"] != "not run"]
        runs = bool(ran) and all(row["status"] == "ok" for row in ran)
        return {
            "bundle": bundle.path.name,
            "name": bundle.manifest.name,
            "bundle_id": bundle.manifest.bundle_id,
            "bundle_version": bundle.manifest.bundle_version,
            "ok": not stopped and runs and (verdict.signed or allow_unsigned),
            "intact": not damaged,
            "signed": verdict.signed,
            "signatures": [one.to_json() for one in verdict.judged],
            "refused": list(verdict.refusals),
            "checked": _checked(bundle, verdict, ran),
            "not_checked": _not_checked(verdict, variants),
            "damaged": damaged,
            "variants": variants,
        }


def verify_code(report: dict[str, Any]) -> int:
    """Exit code of a report of `verify_bundle`.

    A file that is whole and runs, yet sees something else, was signed by nobody trusted or is not what the policy asks
    for, breaks a gate; all else that is not ok is an error, a wrong signature among it.
    """
    if report["ok"]:
        return OK
    statuses = {row["status"] for row in [*report["variants"], *report["signatures"]]}
    ran = bool(statuses & {"ok", "differs"})
    return GATE if (ran or report["refused"]) and not statuses & {"failed", "wrong"} and report["intact"] else ERROR


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
    if unfit := cannot_run(variant):
        return row | {"reason": unfit}
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
    lost = next((one for one in row["golden"] if is_lost(one["overlap"])), None)
    if worst["differing_share"] > worst["max_differing_share"]:
        reason = (
            f"{worst['input']}: {worst['differing_share']:.3%} of the pixels differ, "
            f"{worst['max_differing_share']:.3%} are allowed"
        )
    elif lost is not None:
        reason = (
            f"{lost['input']}: of the pixels that its mask or the expected one marks, both mark {lost['overlap']:.0%}; "
            f"{LEAST_OVERLAP:.0%} are asked"
        )
    else:
        return row | {"status": "ok"}
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
        mask = segmenter(frame).mask
        rows.append(
            {
                "input": golden.input,
                "differing_share": differing_share(mask, truth),
                "max_differing_share": expected.max_differing_share,
                "overlap": overlap(mask, truth),
            }
        )
    return rows


def _checked(bundle: Bundle, verdict: Verdict, ran: list[dict[str, Any]]) -> list[str]:
    sentences = [
        "form: byte for byte the zip that packing writes",
        f"SHA-256 of {len(bundle.sums)} entries against SHA256SUMS, of {len(bundle.variants)} variants against "
        "the manifest",
        "manifest: keys, types and contradictions",
    ]
    sentences += [f"signature: {one.reason}" for one in verdict.judged if one.status == "trusted"]
    return sentences + [
        f"{row['name']}: {len(row['golden'])} golden input(s) in {row['engine']}" for row in ran if row["golden"]
    ]


def _not_checked(verdict: Verdict, variants: list[dict[str, Any]]) -> list[str]:
    sentences = [] if verdict.signed or verdict.wrong else [f"signature: NOT CHECKED: {_unsigned(verdict)}"]
    sentences.append("accuracy: golden masks show that the model runs as packed, not how well it sees")
    if not variants:
        sentences.append("variants: not run, since the file is damaged or refused")
    for row in variants:
        if row["status"] == "not run":
            sentences.append(f"{row['name']}: {row['reason']}")
        elif row["golden"] and all(one["overlap"] is None for one in row["golden"]):
            sentences.append(
                f"{row['name']}: whether it still finds anything: its golden masks mark next to nothing, so that one "
                "that finds nothing agrees with them"
            )
    return sentences


def _unsigned(verdict: Verdict) -> str:
    if not verdict.judged:
        return "it is not signed, so that nothing shows who made it"
    return "; ".join(one.reason for one in verdict.judged)
