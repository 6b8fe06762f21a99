"""`edgeseg verify`: is a bundle whole, who signed it, and does it still see what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import BundleFile, Json, Threads, invocation
from edgeseg.pipeline.text.failures import Stop, reported

if TYPE_CHECKING:
    from rich.console import RenderableType


def verify(
    bundle: BundleFile,
    trust: Annotated[
        list[Path] | None,
        typer.Option(help="Ask for a signature by this .pub file; may be repeated, any will do.", metavar="KEY"),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="What is asked for. Default: the file EDGESEG_POLICY names, else /etc/edgeseg/policy.json.",
            metavar="FILE",
        ),
    ] = None,
    allow_unsigned: Annotated[
        bool,
        typer.Option(
            "--allow-unsigned",
            help="Exit with 0 though nobody trusted has signed it, unless a policy or --trust asks for that.",
        ),
    ] = False,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check a bundle's hashes and signatures, and every variant that can run here against its golden masks."""
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.device.verify import verify_bundle, verify_code
        from edgeseg.runtime.trust.policy import chosen_policy

        asked = chosen_policy(policy, trust or ())
        report = verify_bundle(bundle, threads, asked, allow_unsigned=allow_unsigned)
        show(report, verify_text(report), as_json=as_json)
        raise Stop(verify_code(report))


def verify_text(report: Mapping[str, Any]) -> RenderableType:
    """What `verify` checked, what it did not, and how each variant did."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import simple_table
    from edgeseg.runtime.text.names import shown

    rows = [(one["name"], one["status"], one["engine"], _worst(one), one["reason"]) for one in report["variants"]]
    verdict = Text("ok", "bold green") if report["ok"] else Text("NOT OK", "bold red")
    return Group(
        # On one line: a name with line ends in it could say what only a check may say.
        Text.assemble(shown(f"{report['bundle']} ({report['name']} {report['bundle_version']}): "), verdict),
        *(Text(f"  damaged: {one}", "red") for one in report["damaged"]),
        *(Text(f"  refused: {one}", "red") for one in report["refused"]),
        *(Text(f"  checked: {one}") for one in report["checked"]),
        *(Text(f"  not checked: {one}", _style(one)) for one in report["not_checked"]),
        simple_table(("variant", "status", "engine", "pixels that differ", "reason"), rows, left=3),
    )


def _style(sentence: str) -> str:
    return "yellow" if "NOT CHECKED" in sentence else "dim"


def _worst(variant: Mapping[str, Any]) -> str | None:
    shares = [golden["differing_share"] for golden in variant["golden"]]
    return f"{max(shares):.3%}" if shares else None
