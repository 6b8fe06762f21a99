"""`edgeseg export`: commands for files on their way to an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import EXITS, Json, invocation
from edgeseg.pipeline.text.failures import Stop, reported
from edgeseg.runtime.errors import GATE, OK

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgeseg.export.trt.check_qdq import CheckedQdq

export_app = typer.Typer(no_args_is_help=True, help="Look at files on their way to an engine.")


@export_app.callback()
def _group() -> None:
    """Look at files on their way to an engine."""


@export_app.command("check-qdq", epilog=f"Example: edgeseg export check-qdq model.onnx --json. {EXITS}")
def check_qdq(
    file: Annotated[Path, typer.Argument(help="An ONNX file with Q/DQ pairs, anybody's.", metavar="FILE")],
    dla: Annotated[bool, typer.Option("--dla", help="Judge it for a Jetson's DLA, not for its GPU.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether TensorRT will compute an INT8 file in integers: its placement rules, and its parser if it is here."""
    with reported(debug=invocation.debug):
        from edgeseg.export.trt.check_qdq import check_qdq as check
        from edgeseg.pipeline.text.shown import show

        report = check_json(file, check(file, dla=dla))
        show(report, check_text(report), as_json=as_json)
        raise Stop(OK if report["ok"] else GATE)


def check_json(file: Path, checked: CheckedQdq) -> dict[str, Any]:
    """The findings for scripts."""
    return {
        "file": str(file),
        "ok": checked.ok,
        "pairs": checked.pairs,
        "violations": [one._asdict() for one in checked.violations],
        "not_checked": list(checked.not_checked),
        "parser": checked.parser._asdict(),
    }


def check_text(report: Mapping[str, Any]) -> RenderableType:
    """The findings for people: a line for each violation, what to do once a rule, and the parser's word."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import simple_table

    violations, parser = report["violations"], report["parser"]
    remedies = {one["rule"]: one["remedy"] for one in violations}
    rules = f"{len(violations)} violations of {len(remedies)} rules" if violations else "no placement rule is broken"
    lines = [f"{report['file']}: {report['pairs']} pairs, {rules}"]
    if report["not_checked"]:
        lines.append(f"not looked into, for they hold graphs of their own: {', '.join(report['not_checked'])}")
    table = simple_table(
        ("rule", "node", "found"), [(one["rule"], one["node"], one["message"]) for one in violations], left=3
    )
    found: tuple[RenderableType, ...] = (table, Text("what to do:"))
    if parser["module"] is None:
        word = [f"parser  not asked: {parser['reason']}"]
    else:
        said = [f"refuses {one}" for one in parser["errors"]] or ["takes the file"]
        word = [f"parser  {parser['module']} {one}" for one in said]
    return Group(
        *map(Text, lines),
        *(found if violations else ()),
        *(Text(f"  rule {rule}: {remedy}") for rule, remedy in remedies.items()),
        *map(Text, word),
    )
