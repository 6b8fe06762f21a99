"""Small sources of each format, and what the command makes of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from typer.testing import CliRunner

from edgeseg.pipeline import cli

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "import"


def imported(kind: str, source: Path, place: Path, *options: str) -> dict[str, Any]:
    """The report of an import that works."""
    done = run(kind, source, place, *options, "--json")
    assert done.exit_code == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def refused(kind: str, source: Path, place: Path, *options: str) -> str:
    """The message of an import that does not, and leaves nothing behind."""
    done = run(kind, source, place, *options)
    assert done.exit_code in (1, 2) and isinstance(done.exception, SystemExit), done.exception
    assert not place.exists() and not list(place.parent.glob(".*.tmp"))
    return " ".join(done.stderr.split())


def run(kind: str, source: Path, place: Path, *options: str) -> Any:
    return CliRunner().invoke(cli.app, ["data", "import", "--from", kind, *options, str(source), str(place)])


def mask(place: Path, stem: str) -> Any:
    return cv2.imread(str(place / "masks" / f"{stem}.png"), cv2.IMREAD_UNCHANGED)


def reasons(report: dict[str, Any], which: str = "not_taken") -> dict[str, int]:
    return {one["reason"]: one["n"] for one in report[which]}


def picture(path: Path, size_px: tuple[int, int] = (20, 30), level: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size_px, 3), level, np.uint8))
    return path


def turned_jpeg(path: Path, size_px: tuple[int, int], orientation: int) -> Path:
    """A JPEG of this stored size that says that it is to be turned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(".jpg", np.full(size_px, 90, np.uint8))[1].tobytes()
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    return path


def coco(folder: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]], name: str = "a.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "hole"}]}
    (folder / name).write_text(json.dumps(content))
    return folder


def labelme(path: Path, image: str, shapes: list[dict[str, Any]], **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "5.4.1", "shapes": shapes, "imagePath": image, "imageData": None} | more))
    return path


SQUARE = {"image_id": 1, "category_id": 1, "segmentation": [[2, 3, 12, 3, 12, 8, 2, 8]], "iscrowd": 0}
SHAPE = {"label": "hole", "points": [[2, 3], [12, 3], [12, 8], [2, 8]], "shape_type": "polygon"}


def square(size_px: tuple[int, int]) -> Any:
    """What both of these are: 10 x 5 pixels."""
    found = np.zeros(size_px, np.uint8)
    found[3:8, 2:12] = 1
    return found
