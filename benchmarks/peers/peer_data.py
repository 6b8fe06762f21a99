"""A data set of ours in Ultralytics' layout, and other projects' networks scored by our scorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx

from edgeseg.export.onnx.export import quiet_session
from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.data.imagefile import read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.frame.preprocess import resize
from edgeseg.runtime.score.evaluate import evaluate
from edgeseg.runtime.score.metrics import summarize


class Mask(NamedTuple):
    """What the scorer asks for."""

    mask: np.ndarray


def write_semantic(data: DataSet, folder: Path, size_px: int) -> Path:
    """Train and val as Ultralytics' semantic segmentation takes them: `images/SPLIT`, `masks/SPLIT`, `data.yaml`.

    Frames are resized to the network's size as our recipes do, so that both see the same pixels; a mask's 255 does not
    count there either.

    Returns:
        `data.yaml`, in JSON, which is YAML too.

    Raises:
        ConfigError: For images of 16 bits, whose window the other tool does not know.
    """
    if data.window is not None:
        raise ConfigError(f"{data.name} has a window for 16-bit images, which Ultralytics does not; train on another")
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for sample in data.split(split):
            frame = resize(read_image(sample.image, "rgb"), size_px, size_px, "area")
            truth = resize(sample.read_truth(len(data.classes)), size_px, size_px, "nearest")
            cv2.imwrite(str(folder / "images" / split / f"{sample.stem}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            cv2.imwrite(str(folder / "masks" / split / f"{sample.stem}.png"), truth)
    about: dict[str, Any] = {"path": str(folder.resolve()), "train": "images/train", "val": "images/val"}
    about |= {"masks_dir": "masks", "names": list(data.classes)}
    (folder / "data.yaml").write_text(json.dumps(about), encoding="utf-8")
    return folder / "data.yaml"


class OnnxPeer:
    """Frame to mask through an ONNX file that takes float32 (1, 3, H, W) in [0, 1] and returns scores (1, K, h, w)."""

    def __init__(self, file: Path, size_px: int) -> None:
        self._session = quiet_session(onnx.load(file))
        self._size_px = size_px

    def __call__(self, frame: np.ndarray) -> Mask:
        """The class of the highest score, enlarged to the frame's size before they are compared."""
        small = resize(frame, self._size_px, self._size_px, "area").astype(np.float32) / 255
        name = self._session.get_inputs()[0].name
        scores = self._session.run(None, {name: np.ascontiguousarray(small.transpose(2, 0, 1)[None])})[0][0]
        height, width = frame.shape[:2]
        large = [resize(np.ascontiguousarray(plane), height, width, "linear") for plane in scores]
        return Mask(np.argmax(large, axis=0).astype(np.uint8))


def scored(segmenter: Any, data: DataSet) -> dict[str, Any]:
    """Mean Dice over the foreground classes on val and on test, and each class's."""
    found: dict[str, Any] = {}
    for split in ("val", "test"):
        samples: tuple[Sample, ...] = data.split(split)
        summary = summarize(evaluate(segmenter, samples, data.classes), list(data.classes))
        found[split] = {key: summary[key] for key in ("dice_mean", "dice")}
    return found
