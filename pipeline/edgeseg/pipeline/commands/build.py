"""`edgeseg build`: options of the command, and what it says of the engines it has built."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import BundleFile, Json, invocation
from edgeseg.pipeline.text.failures import reported
from edgeseg.runtime.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

_LEVELS = {"none": "none", "ampere": "ampere_plus", "same": "same_compute_capability"}


def build(
    bundle: BundleFile,
    variant: Annotated[str, typer.Option(help="trt-int8, trt-fp16 or trt-fp32.", metavar="NAME")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder the engines and their records are written to. Default, for the GPU that is here: where "
            "`edgeseg predict --variant trt-int8` finds them.",
            metavar="DIR",
        ),
    ] = None,
    capability: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute capability such as sm86, without its GPU (TensorRT for RTX); may be repeated. "
            "Default: the GPU that is here.",
            metavar="SM",
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            help="HxW, or smallest, usual and largest with commas between. Default: what the bundle's geometry makes "
            "of frames; where it takes any size, that of its golden frames.",
            metavar="SIZES",
        ),
    ] = "",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="calibration.cache of a run's step onnx_s8: the builder of TensorRT 8 to 10 chooses INT8 layer by "
            "layer, from the float file beside it.",
            metavar="FILE",
        ),
    ] = None,
    trtexec: Annotated[
        str | None,
        typer.Option(help="8.2 or 8.5: write the file and the command for a board with this TensorRT.", metavar="V"),
    ] = None,
    workspace: Annotated[
        int | None,
        typer.Option(min=1, max=1 << 30, help="Most memory a layer may take. Default: all there is.", metavar="MIB"),
    ] = None,
    level: Annotated[
        int, typer.Option("--optimization-level", min=0, max=5, help="0 builds fast, 5 looks at every kernel.")
    ] = 3,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Newer TensorRT versions can run the engine.")
    ] = False,
    hardware: Annotated[
        str, typer.Option(help=f"Which other GPUs can run it: {', '.join(_LEVELS)}.", metavar="LEVEL")
    ] = "none",
    dla_core: Annotated[
        int | None,
        typer.Option(min=0, help="Build for this accelerator of a Jetson, the rest for its GPU.", metavar="N"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build TensorRT engines of a bundle, each with a record: parsed and compiled by TensorRT, never run here."""
    with reported(debug=invocation.debug):
        from edgeseg.export.trt.build import BuildOrder, build_engine
        from edgeseg.export.trt.compile import CompileConfig
        from edgeseg.pipeline.text.shown import show

        if hardware not in _LEVELS:
            raise ConfigError(f"--hardware {hardware} is none of {', '.join(_LEVELS)}")
        hardware_level: Any = _LEVELS[hardware]
        built = []
        for name in [one.lower() for one in capability or ()] or (None,):
            config = CompileConfig(name, workspace, level, version_compatible, hardware_level, dla_core)
            built.append(build_engine(bundle, BuildOrder(variant, out, _sizes(size), calibration, trtexec, config)))
        records = [one.record for one in built]
        show(records, build_text(records, built[0].folder), as_json=as_json)


def build_text(records: Sequence[Mapping[str, Any]], folder: Path) -> RenderableType:
    """The engines for people, or the command that builds one elsewhere."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import Verbatim, simple_table
    from edgeseg.runtime.text.shell import command

    first = records[0]
    shapes = "  ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in first["profile"].items())
    if first["evidence"] is None:
        line = command(*first["trtexec"]["command"])
        note = f"{first['evidence_reason']}; the engine takes float32 pixels"
        return Group(
            Text(f"Copy {folder} to the board and run there:"), Verbatim(line), Text(shapes, "dim"), Text(note, "dim")
        )
    rows = [
        (
            one["engine"]["file"],
            f"{one['module']} {one['version']}",
            one["settings"]["capability"] or (one["gpu"] or {}).get("name") or "any from sm80 on",
            one["source"]["variant"],
            f"{one['seconds']:.1f}",
            one["engine"]["bytes"],
            one["layers"],
            _realised(one["realised"]),
        )
        for one in records
    ]
    columns = ("engine", "built by", "for", "from", "seconds", "bytes", "layers", "layers by precision")
    note = "parsed and compiled by a real TensorRT compiler, never run"
    where = Text(f"in {folder}, sizes {shapes}", "dim")
    return Group(simple_table(columns, rows, left=4), where, Text(f"built: {note}", "dim"))


def _realised(found: Mapping[str, Any]) -> str:
    if found["layers"] is None:
        return f"not known: {found['reason']}"
    return ", ".join(f"{count} {precision}" for precision, count in sorted(found["layers"].items()))


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    found = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", part.strip().lower()) for part in text.split(",")] if text else []
    if None in found:
        raise ConfigError(f"--size is {text!r}; give height and width such as 256x320, or three with commas between")
    return tuple((int(one[1]), int(one[2])) for one in found if one is not None)
