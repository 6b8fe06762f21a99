"""`edgeseg inspect`: what a bundle says of itself; nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeseg.pipeline.commands.options import BundleFile, Json, invocation
from edgeseg.pipeline.text.failures import reported

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgeseg.runtime.opening.bundle import Bundle


def inspect(bundle: BundleFile, as_json: Json = False) -> None:
    """Show what a bundle says of itself: use, data, variants, signatures. Neither hashes nor signatures are checked."""
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.opening.bundle import Bundle
        from edgeseg.runtime.trust.policy import ANY

        with Bundle.open(bundle, ANY) as opened:
            report = inspected(opened)
        show(report, inspect_text(report), as_json=as_json)


def inspected(bundle: Bundle) -> dict[str, Any]:
    """The manifest, what stands beside it, and which signatures there are, as JSON."""
    signatures = [one.statement for one in bundle.signatures]
    return {
        "bundle": bundle.path.name,
        "bytes": bundle.path.stat().st_size,
        "sums_sha256": bundle.sums_sha256,
        "signatures": [
            {"role": one.role, "date": one.date.isoformat(), "key_id": one.key.key_id, "public_key": one.key.line}
            for one in signatures
        ],
        "sha256": dict(bundle.sums),
        "manifest": bundle.manifest.to_json(),
    }


def inspect_text(report: Mapping[str, Any]) -> RenderableType:
    """The same in short."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import simple_table
    from edgeseg.runtime.text.names import shown

    its = report["manifest"]
    facts = {
        "identity": its["bundle_id"],
        "version": its["bundle_version"],
        "replaces": its["previous_bundle"],
        "intended use": its["intended_use"],
        "classes": ", ".join(its["classes"]),
        "data": ", ".join(f"{one.get('name')} ({one.get('content_sha256')})" for one in its["data"]),
        "recipe": its["recipe_sha256"],
        "packed by": f"edgeseg {its['edgeseg_version']}",
        "SHA256SUMS": report["sums_sha256"],
    }
    signed = [f"{one['role']}, {one['date']}, key {one['key_id']}" for one in report["signatures"]] or ["nobody"]
    rows = [
        (one["name"], one["spec"]["backend"], one["spec"]["precision"], one["bytes"], one["sha256"][:16])
        for one in its["variants"]
    ]
    return Group(
        Text(shown(f"{report['bundle']}: {its['name']}, {report['bytes']} bytes"), "bold"),
        *(Text(shown(f"  {name}: {value}")) for name, value in facts.items() if value),
        *(Text(f"  signed by: {one} (not checked here, `verify` does)") for one in signed),
        simple_table(("variant", "engine", "precision", "bytes", "SHA-256"), rows, left=3),
    )
