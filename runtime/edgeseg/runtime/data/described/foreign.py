"""Descriptions of other tools, told by their keys, and what makes a data set of ours out of what they describe."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from edgeseg.runtime.text.shell import command

# What it is, any of these sets of keys, and the kind that `edgeseg data import` knows it by, or what else to do.
_TOOLS: tuple[tuple[str, tuple[frozenset[str], ...], str], ...] = (
    ("a recipe of edgeseg", (frozenset({"geometry", "data"}),), "describe the data set: name, classes, color"),
    (
        "the data.yaml of YOLO (Ultralytics, Roboflow)",
        tuple(frozenset({"names", key}) for key in ("train", "val", "test", "nc", "path", "kpt_shape", "roboflow")),
        "yolo",
    ),
    ("a COCO file", (frozenset({"images", "annotations"}), frozenset({"annotations", "categories"})), "coco"),
    ("a labelme file", (frozenset({"shapes", "imagePath"}),), "labelme"),
    (
        "the dataset.json of nnU-Net or the Medical Segmentation Decathlon",
        tuple(frozenset({"labels", key}) for key in ("numTraining", "channel_names", "modality", "file_ending")),
        "write the frames as 8-bit PNGs into images/ (without _0000 at the end of their names), the labels as class "
        "ids into masks/ under the same names, and the names of the labels, by id, as classes",
    ),
    (
        "a configuration of MMSegmentation",
        (
            *(frozenset({key}) for key in ("dataset_type", "data_root", "data_prefix", "img_dir", "img_suffix")),
            *(frozenset({key}) for key in ("metainfo", "METAINFO", "seg_map_suffix", "train_dataloader")),
        ),
        "put img_dir into images/ and ann_dir into masks/ under equal names (without img_suffix and seg_map_suffix), "
        "and write its classes as classes, the background first",
    ),
    (
        "a configuration of PaddleSeg",
        (frozenset({"train_dataset"}), frozenset({"val_dataset"})),
        "put its images into images/ and its labels into masks/ under equal names",
    ),
    (
        "a configuration of Detectron2",
        (frozenset({"MODEL", "DATASETS"}),),
        "export its data set as COCO, then `edgeseg data import --from coco SRC DST` makes one of ours",
    ),
    ("the meta.json of Supervisely", (frozenset({"classes", "projectType"}), frozenset({"classes", "tags"})), "color"),
)
_IMPORTED = ("yolo", "coco", "labelme", "color")
_OR_INIT = "; where masks are pictures of class ids already, move it away and run `edgeseg init` on the folder"
# A file's keys are looked for at its two ends: annotations of a whole data set are large.
_LOOKED_AT_BYTES = 1 << 16
_JSON_KEY = re.compile(r'"(\w+)"\s*:')
_YAML_KEY = re.compile(r"^['\"]?(\w+)['\"]?\s*:", re.MULTILINE)


def recognise(keys: Collection[str], root: Path) -> tuple[str, str] | None:
    """Tell by its top-level keys whose file it is.

    Args:
        keys: The keys.
        root: The folder it lies in, for the command.

    Returns:
        What it is, and what to do; None if it is no other tool's that is known.
    """
    present = frozenset(keys)
    for what, any_of, remedy in _TOOLS:
        if any(keys_of <= present for keys_of in any_of):
            return what, _import(remedy, root) if remedy in _IMPORTED else remedy
    return None


def seen_in(root: Path) -> tuple[str, str, str] | None:
    """Look for a description of another tool in a folder that has none of ours.

    Returns:
        The file's name, what it is, and what to do; None if there is none that is known.
    """
    candidates = sorted(path for path in root.iterdir() if path.suffix.lower() in (".yaml", ".yml", ".json", ".xml"))
    for path in candidates[:32]:
        if path.suffix.lower() == ".xml" and path.stem == "annotations":
            return path.name, "annotations of CVAT", _import("cvat", root)
        found = recognise(_keys_in(path), root)
        if found is not None:
            return path.name, *found
    return None


def _import(kind: str, root: Path) -> str:
    return f"`{command('edgeseg', 'data', 'import', '--from', kind, root)} DST` makes a data set of it{_OR_INIT}"


def _keys_in(path: Path) -> set[str]:
    try:
        with path.open("rb") as file:
            ends = file.read(_LOOKED_AT_BYTES)
            size = path.stat().st_size
            if size > len(ends):
                file.seek(max(len(ends), size - _LOOKED_AT_BYTES))
                ends += file.read()
    except OSError:
        return set()
    pattern = _JSON_KEY if path.suffix.lower() == ".json" else _YAML_KEY
    return set(pattern.findall(ends.decode("utf-8", "replace").replace("\0", "")))
