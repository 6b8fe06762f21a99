"""`predict`: from images, folders, films or a camera to masks on disk, and a row for each as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.data.imagefile import Frame, read_image, to_color
from edgeseg.runtime.decision import decide
from edgeseg.runtime.device.commands import BundleChoice
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.frame.intensity import apply_window
from edgeseg.runtime.predict.film import Film, open_camera, open_film
from edgeseg.runtime.predict.film_overlay import FilmOverlay
from edgeseg.runtime.predict.inputs import Input, Inputs, gather
from edgeseg.runtime.predict.order import PredictOrder
from edgeseg.runtime.predict.outputs import OVERLAYS, check_outputs, mask_file, remove_own, remove_own_frames
from edgeseg.runtime.predict.overlay import overlay
from edgeseg.runtime.predict.own_files import encode_own
from edgeseg.runtime.segmenter import Segmenter

Row = dict[str, Any]
Draw = Callable[[npt.NDArray[np.uint8]], Path]

# What is one image's failure and no reason to lose the others.
_FAILURES = (EdgesegError, MemoryError, OSError, cv2.error)


@contextmanager
def predict(bundle: BundleChoice, order: PredictOrder) -> Iterator[Prediction]:
    """Check the order, open the bundle, and hand out the rows, which are made as they are asked for.

    Masks are PNGs of class ids, `OUT/STEM.png`; of a folder with its tree kept, `OUT/a/b/STEM.png`; of a film
    `OUT/FILM/000001.png` by the number of the frame, from 1; of a camera likewise in `OUT/camera0`. Overlays lie in
    `OUT/overlays`, named alike; those of a film are a film, where this OpenCV can write one.

    Raises:
        ConfigError: If there is nothing to segment, or a file would be lost (`outputs.check_outputs`), or no camera.
        BundleError: If the bundle is damaged or has no such variant.
        BackendError: If no engine for it is installed.
    """
    if order.camera is None:
        inputs = gather(order.inputs, order.out)
    else:
        inputs = Inputs([Input(Path(f"camera {order.camera}"), Path(f"camera{order.camera}"), True)])
    read = [bundle.path, *(one.path for one in inputs.found)]
    check_outputs(inputs.found, order.out, read, overlay=order.overlay, overwrite=order.overwrite)
    camera = nullcontext(None) if order.camera is None else open_camera(order.camera)
    with camera as film, bundle.open() as segmenter:
        prediction = Prediction(segmenter, order, inputs, film)
        try:
            yield prediction
        finally:
            prediction.close()


class Prediction:
    """The rows of one predict. Nothing is kept of a row that was given out, so that any number of frames fits memory.

    Iterating gives each row once: `image`, `frame` (of a film), `status` `ok | failed`, `reason`, `mask`, `height_px`,
    `width_px`, `regions`, `timings_ms` and, where asked for, `overlay` and `decision`. An image that cannot be
    segmented is a row with its reason; the others are written all the same.

    Attributes:
        total: Number of images and films.
        done: Those of them that are done.
        ok: Rows that were given out and went well.
        failed: Rows that were given out and did not.
        films: Per film that was gone through: `film`, `frames`, `frames_stated`, `fps`, `segmented`.
    """

    def __init__(self, segmenter: Segmenter, order: PredictOrder, inputs: Inputs, camera: Film | None) -> None:
        self._segmenter, self._order, self._inputs, self._camera = segmenter, order, inputs, camera
        self._roots = (order.out, order.out / OVERLAYS) if order.overlay else (order.out,)
        self.total = len(inputs.found)
        self.done = self.ok = self.failed = 0
        self.films: list[dict[str, object]] = []
        self._rows = self._run()

    def close(self) -> None:
        """Segment nothing more; a film of overlays that was begun is finished."""
        self._rows.close()

    @property
    def head(self) -> dict[str, object]:
        """What is known before the first row: `variant`, `engine`, `classes`, `not_taken` (`file`, `reason`)."""
        return {
            "variant": self._segmenter.name,
            "engine": self._segmenter.engine,
            "classes": list(self._segmenter.spec.classes),
            "not_taken": self._inputs.not_taken,
        }

    def tail(self, stopped: str | None = None) -> dict[str, object]:
        """What is known after the last row: `films`, `counts`, and why it ended early, or None. Ends the rows."""
        self.close()
        counts = {"ok": self.ok, "failed": self.failed, "not_taken": len(self._inputs.not_taken)}
        return {"films": self.films, "counts": counts, "stopped": stopped}

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _run(self) -> Generator[Row, None, None]:
        for one in self._inputs.found:
            for row in self._film(one) if one.is_film else iter([self._image(one)]):
                self.ok += row["status"] == "ok"
                self.failed += row["status"] != "ok"
                yield row
            self.done += 1

    def _image(self, one: Input) -> Row:
        def draw(picture: npt.NDArray[np.uint8]) -> Path:
            path = mask_file(self._order.out / OVERLAYS, one.place)
            write_bytes(path, encode_own(picture))
            return path

        row: Row = {"image": str(one.path)}
        try:
            remove_own(mask_file(root, one.place) for root in self._roots)
            spec = self._segmenter.spec.input
            frame = read_image(one.path, spec.color, spec.window, thorough=True)
            return row | self._segment(frame, mask_file(self._order.out, one.place), draw)
        except _FAILURES as error:
            return row | _failure(error)

    def _film(self, one: Input) -> Iterator[Row]:
        opened = open_film(one.path) if self._camera is None else nullcontext(self._camera)
        try:
            with opened as film:
                yield from self._frames(one, film)
        except _FAILURES as error:
            yield {"image": str(one.path)} | _failure(error)

    def _frames(self, one: Input, film: Film) -> Iterator[Row]:
        for root in self._roots:
            remove_own_frames(root / one.place)
        segmented = 0
        try:
            with FilmOverlay(self._order.out, one.place, film.fps and film.fps / self._order.every) as pictures:
                for number, stored in film.frames(self._order.every, self._order.frames):
                    yield {"image": str(one.path), "frame": number} | self._frame(one, number, stored, pictures)
                    segmented += 1
        finally:
            facts = {"film": str(one.path), "frames": film.frames_read, "frames_stated": film.frames_stated}
            self.films.append(facts | {"fps": film.fps, "segmented": segmented})

    def _frame(self, one: Input, number: int, stored: npt.NDArray[np.uint8], pictures: FilmOverlay) -> Row:
        try:
            spec = self._segmenter.spec.input
            frame = to_color(stored, spec.color, one.path, spec.window)
            target = mask_file(self._order.out, one.place, number)
            return self._segment(frame, target, lambda picture: pictures.write(picture, number))
        except _FAILURES as error:
            return _failure(error)

    def _segment(self, frame: Frame, target: Path, draw: Draw) -> Row:
        result = self._segmenter(frame, regions=True)
        write_bytes(target, encode_own(result.mask))
        regions = result.regions or ()
        row: Row = {"status": "ok", "reason": None, "mask": str(target)}
        if self._order.overlay:
            row["overlay"] = str(draw(overlay(apply_window(frame, self._segmenter.spec.input.window), result.mask)))
        row |= {"height_px": frame.shape[0], "width_px": frame.shape[1]}
        row |= {"regions": [asdict(region) for region in regions], "timings_ms": dict(result.timings_ms)}
        if self._order.decision:
            row["decision"] = decide(regions, self._segmenter.spec.decision).decision
        return row


def _failure(error: BaseException) -> Row:
    if isinstance(error, EdgesegError):
        reason = str(error)
    elif isinstance(error, OSError):
        reason = f"{error.filename or 'the mask'}: {error.strerror or error}"
    elif isinstance(error, MemoryError):
        reason = "out of memory: use a smaller frame, or cut it into parts"
    else:
        words = " ".join(str(error).split())
        reason = f"OpenCV failed on it, perhaps for want of memory ({words}): use a smaller frame, or cut it into parts"
    return {"status": "failed", "reason": reason}
