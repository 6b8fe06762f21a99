"""`edgeseg prove`: an engine that was built, run on its board and packed into a new bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import BundleFile, Json, invocation
from edgeseg.pipeline.text.failures import reported

if TYPE_CHECKING:
    from rich.console import RenderableType


def prove(
    bundle: BundleFile,
    variant: Annotated[str, typer.Option(help="trt-int8, trt-fp16 or trt-fp32, as it was built.", metavar="NAME")],
    out: Annotated[Path, typer.Option(help="The new bundle.", metavar="FILE")],
    bundle_version: Annotated[str, typer.Option(help="Version of the new bundle.")],
    engine: Annotated[
        Path | None,
        typer.Option(
            help="The engine, its record beside it. Default: the one that edgeseg build made for this GPU.",
            metavar="FILE",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the new variant. Default: the built one's and the GPU's.", metavar="NAME")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a TensorRT engine on its board; where masks and precision hold, pack it into a new bundle, to be signed."""
    with reported(debug=invocation.debug):
        from edgeseg.export.trt.prove import ProveOrder, prove_engine
        from edgeseg.pipeline.commands.pack import check_out
        from edgeseg.pipeline.text.shown import show

        check_out(out)
        proven = prove_engine(bundle, ProveOrder(variant, out, bundle_version, engine, name))
        added, record = proven.variant, proven.variant.engine
        assert record is not None
        report = {
            "bundle": str(out),
            "bundle_id": proven.manifest.bundle_id,
            "previous_bundle": proven.manifest.previous_bundle,
            "variant": {"name": added.name, "bytes": added.bytes, "sha256": added.sha256},
            "proof": record.content["proof"],
        }
        show(report, prove_text(report), as_json=as_json)


def prove_text(report: Mapping[str, Any]) -> RenderableType:
    """What was proven, and what comes next."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import Verbatim
    from edgeseg.runtime.text.shell import command

    proof = report["proof"]
    golden, gpu = proof["golden"], proof["gpu"]
    layers = ", ".join(f"{count} {precision}" for precision, count in sorted(proof["layers"].items()))
    lines = [
        f"{report['variant']['name']} on {gpu['name']} ({gpu['capability']}, CUDA {gpu['cuda']}):",
        f"  masks of {golden['frames']} golden frames differ from {golden['against']}'s in "
        f"{golden['differing_share']:.4%} of the pixels; {golden['most']:.2%} are allowed",
        f"  layers as they are computed: {layers}",
    ]
    if proof["int8_unknown"]:
        lines.append(f"  not known of {len(proof['int8_unknown'])} convolutions: no layer of the engine names them")
    lines.append(f"wrote {report['bundle']} ({report['bundle_id']}), which is not signed; then:")
    return Group(
        *map(Text, lines), Verbatim(f"  {command('edgeseg', 'sign', report['bundle'], '--key', 'release.key')}")
    )
