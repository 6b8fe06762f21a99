"""`edgeseg pack`: steps' folders scored and packed into one bundle, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import Json, invocation
from edgeseg.pipeline.text.failures import reported

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgeseg.export.pack import VariantSource
    from edgeseg.runtime.data.dataset import DataSet


def pack(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Steps' folders of one network, as `edgeseg adopt` makes them.", metavar="FOLDER"),
    ],
    data: Annotated[Path, typer.Option(help="Data set they are scored on, val and test.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="The .edgeseg file to write.", metavar="FILE")],
    intended_use: Annotated[str, typer.Option(help="What it is for, and what not.", metavar="TEXT")] = "not stated",
    bundle_version: Annotated[str, typer.Option(help="Version by which devices may refuse older ones.")] = "1",
    replaces: Annotated[
        Path | None,
        typer.Option(help="The bundle in use that this one is to replace; it will name it.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score model files and pack them into a bundle with golden masks; what the chain makes is packed by `run`."""
    with reported(debug=invocation.debug):
        from edgeseg.export import pack as packing
        from edgeseg.pipeline.chain.provenance import data_summary
        from edgeseg.pipeline.steps.pack import golden_frames
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.data.dataset import open_dataset

        check_out(out)
        previous = None if replaces is None else identity_of(replaces)
        opened = open_dataset(data)
        sources = variants(folders, opened)
        first = sources[0].spec
        # Nobody says what the network was trained on: the data are those of the scores, whatever their pixels' size.
        scored_on = data_summary(opened) | {"used_for": "scores", "pixel_mm": None}
        about = out.stem, bundle_version, intended_use, first.input, first.decision, (scored_on,)
        info = packing.BundleInfo(*about, previous_bundle=previous)
        manifest = packing.pack(out, info, sources, golden_frames(opened, 0))
        report = {
            **{"bundle": str(out), "bundle_id": manifest.bundle_id},
            "variants": [
                {"name": one.name, "bytes": one.bytes, "backend": one.spec.backend, "accuracy": dict(one.accuracy)}
                for one in manifest.variants
            ],
        }
        show(report, pack_text(report), as_json=as_json)


def identity_of(bundle: Path) -> str:
    """What a bundle is called; nothing of it is run."""
    from edgeseg.runtime.opening.bundle import Bundle
    from edgeseg.runtime.trust.policy import ANY

    with Bundle.open(bundle, ANY) as opened:
        return opened.manifest.bundle_id


def check_out(out: Path) -> None:
    """Refuse, before anything is scored, to replace what is no bundle.

    Raises:
        ConfigError: If something else is there, or the name is none for a bundle.
    """
    from edgeseg.runtime.errors import ConfigError
    from edgeseg.runtime.files.file_kind import kind_of

    kind = kind_of(out)
    if kind.key not in ("missing", "bundle"):
        raise ConfigError(f"--out {out} is {kind.words} and would be replaced; choose another name")
    if out.suffix != ".edgeseg":
        raise ConfigError(f"--out {out}: name a file that ends in .edgeseg")


def variants(folders: list[Path], data: DataSet) -> list[VariantSource]:
    """Score each folder's file on val and test.

    Raises:
        ConfigError: If two would have one name, or the classes are not those of the data.
        BundleError: If a folder is no step's.
    """
    from edgeseg.export.pack import VariantSource
    from edgeseg.export.score_file import score_file
    from edgeseg.pipeline.text.progress import count_progress
    from edgeseg.runtime.errors import ConfigError
    from edgeseg.runtime.files.hashes import sha256_file
    from edgeseg.runtime.opening.step_folder import open_step
    from edgeseg.runtime.score.intervals import dice_interval
    from edgeseg.runtime.score.metrics import summarize

    found: dict[str, VariantSource] = {}
    for folder in folders:
        model, spec = open_step(folder)
        name = f"{model.suffix[1:]}-{spec.precision}"
        if name in found:
            raise ConfigError(f"{folder} and {found[name].model.parent} are both {name}; pack one of them")
        if spec.classes != data.classes:
            own, its = ", ".join(spec.classes), ", ".join(data.classes)
            raise ConfigError(f"{folder} has the classes {own}, {data.name} has {its}: give data of the same classes")
        sha256 = sha256_file(model)
        accuracy = {}
        for split in ("val", "test"):
            with count_progress(f"scoring {name} on {split}") as progress:
                scores = score_file(model, spec, data, data.split(split), progress=progress)
            accuracy[split] = summarize(scores, data.classes)
        accuracy["test"]["dice_interval"] = dice_interval(scores)
        found[name] = VariantSource(name, model, spec, accuracy, sha256)
    return list(found.values())


def pack_text(report: Mapping[str, Any]) -> RenderableType:
    """What is in the bundle."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import Verbatim, simple_table
    from edgeseg.runtime.text.shell import command

    rows = [
        (one["name"], one["backend"], one["bytes"], *(_dice(one["accuracy"].get(split)) for split in ("val", "test")))
        for one in report["variants"]
    ]
    return Group(
        simple_table(("variant", "engine", "bytes", "Dice val", "Dice test"), rows),
        Text(f"wrote {report['bundle']} ({report['bundle_id']}); then:"),
        Verbatim(f"  {command('edgeseg', 'verify', report['bundle'], '--allow-unsigned')}"),
    )


def _dice(accuracy: Mapping[str, Any] | None) -> str | None:
    dice = None if accuracy is None else accuracy["dice_mean"]
    return None if dice is None else f"{dice:.3f}"
