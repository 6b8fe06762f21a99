"""Data sets of other tools made into data sets of ours: one file a format, read into the same few things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.pipeline.data_import import coco, color, cvat, labelme, palette, yolo
from edgeseg.pipeline.data_import.classes import BACKGROUND, class_table
from edgeseg.pipeline.data_import.paths import Tree
from edgeseg.pipeline.data_import.source import Source, Tally, Wishes
from edgeseg.pipeline.data_import.write import Progress, Writer
from edgeseg.runtime.data.shares import Share
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.files.atomic import new_folder
from edgeseg.runtime.text.shell import command

FORMATS: dict[str, Callable[[Tree, Wishes, Tally], Source]] = {
    "labelme": labelme.read,
    "coco": coco.read,
    "cvat": cvat.read,
    "yolo": yolo.read,
    "palette": palette.read,
    "color": color.read,
}


@dataclass(frozen=True)
class ImportOrder:
    """What to import.

    Attributes:
        kind: A key of `FORMATS`.
        source: The folder it lies in.
        place: The folder that is made.
        wishes: What is taken of it.
        skip_unannotated: Leave out images without annotation.
    """

    kind: str
    source: Path
    place: Path
    wishes: Wishes = field(default_factory=Wishes)
    skip_unannotated: bool = False


def import_data(order: ImportOrder, progress: Progress | None = None) -> dict[str, Any]:
    """Make a data set of ours out of another tool's.

    Args:
        order: What.
        progress: Called with (done, total) images.

    Returns:
        JSON-able: `source`, `format`, `data`, `images`, `unannotated`, `objects` by kind, `color`, `classes` (Share
        each), `ignored`, `splits`, `not_taken` and `noted` (`reason`, `n`, `examples`), `notes`, `next` (commands).

    Raises:
        ConfigError: The format or an option is not known, or the place is not empty.
        DataError: The source is not what its format says, or nothing of it can be taken.
    """
    if order.kind not in FORMATS:
        raise ConfigError(f"--from {order.kind} is not known; known are {', '.join(FORMATS)}")
    tally = Tally()
    with new_folder(order.place) as folder:
        tree = Tree(order.source)
        source = FORMATS[order.kind](tree, order.wishes, tally)
        for link in tree.outside:
            tally.skip("links that lead out of the source", link)
        source = _kept(source, order, tally)
        of_ids = any(item.ids for item in source.items)
        table = None if of_ids else class_table(source.labels, order.wishes.classes)
        writer = Writer(folder, table, tally)
        writer.add_all(source, progress)
        if source.at_end is not None:
            source.at_end()
        if not writer.n_images:
            raise DataError(f"{order.source}: no image could be taken as {order.kind}; {_reasons(tally)}")
        classes = table.names if table else source.names or _by_id(writer.highest_id)
        if not writer.highest_id:
            raise DataError(f"{order.source}: nothing but background in {writer.n_images} image(s); {_reasons(tally)}")
        writer.finish(order.place.absolute().name, classes)
    return _report(order, writer, classes, tally)


def _kept(source: Source, order: ImportOrder, tally: Tally) -> Source:
    """The source without images that are not to be taken."""
    if not order.skip_unannotated:
        return source
    for item in source.items:
        if not item.annotated:
            tally.skip("without annotation (--skip-unannotated)", item.name)
    items = tuple(item for item in source.items if item.annotated)
    return Source(items, source.labels, source.names, source.at_end)


def _by_id(highest: int) -> tuple[str, ...]:
    """Names for masks of nothing but ids."""
    if not highest:
        raise DataError(
            "the masks hold no class but 0 (255 does not count); if 255 is the foreground, import them with --from "
            "color --classes foreground=#ffffff"
        )
    return (BACKGROUND, *(f"class_{number}" for number in range(1, highest + 1)))


def _report(order: ImportOrder, writer: Writer, classes: tuple[str, ...], tally: Tally) -> dict[str, Any]:
    shares = writer.shares.by_class(classes)
    empty = [share.name for share in shares[1:] if not share.n_images]
    notes = writer.split_notes()
    if empty:
        names = ", ".join(empty[:8]) + (", ..." if len(empty) > 8 else "")
        notes.append(f"{len(empty)} class(es) of which no pixel was found: {names}; --classes takes others alone")
    notes += [f"warning: {fault}" for fault in writer.shares.warnings(classes)]
    return {
        "source": str(order.source),
        "format": order.kind,
        "data": str(order.place),
        "images": writer.n_images,
        "unannotated": writer.n_unannotated,
        "objects": dict(sorted(writer.kinds.items())),
        "color": writer.color,
        "classes": [_share(number, share) for number, share in enumerate(shares)],
        "ignore": 255 if writer.has_ignored else None,
        "splits": writer.splits(),
        "not_taken": tally.as_json(tally.not_taken),
        "noted": tally.as_json(tally.noted),
        "notes": notes,
        "next": [command("edgeseg", "data", "check", order.place), command("edgeseg", "init", order.place)],
    }


def _share(number: int, share: Share) -> dict[str, Any]:
    return {"id": number, "name": share.name, "pixels": share.pixels, "n_images": share.n_images}


def _reasons(tally: Tally) -> str:
    rows = tally.as_json(tally.not_taken)[:5]
    return (
        "; ".join(f"{one['reason']} ({one['n']}, such as {one['examples'][0]})" for one in rows) or "there is no object"
    )
