"""`edgeseg predict`: options of the command, and its rows as they are done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import Json, Model, Threads, Variant, invocation
from edgeseg.pipeline.text.failures import Stop, reported
from edgeseg.runtime.errors import ERROR, OK, EdgesegError

if TYPE_CHECKING:
    from edgeseg.runtime.predict.session import Prediction

Put = Callable[[Any], None]


def predict(
    bundle: Model,
    out: Annotated[Path, typer.Option(help="Folder the masks are written to, as OUT/STEM.png.", metavar="DIR")],
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Images, films, and folders, whose tree is kept.", metavar="INPUT")
    ] = None,
    decision: Annotated[bool, typer.Option("--decision", help="Also decide good or reject.")] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also draw the masks over the frames, in OUT/overlays.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that edgeseg did not write; inputs never.")
    ] = False,
    camera: Annotated[
        int | None, typer.Option(help="Segment this camera's frames instead of files.", metavar="N")
    ] = None,
    every: Annotated[int, typer.Option(help="Of films and cameras, each such frame.", metavar="N")] = 1,
    frames: Annotated[
        int | None, typer.Option(help="Of films and cameras, at most so many frames. Default: all.", metavar="N")
    ] = None,
    variant: Variant = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Segment images, films or a camera, and write each mask as a PNG of class ids.

    Masks of a folder keep its tree; those of a film are OUT/FILM/000001.png, by the number of the frame. A mask that
    edgeseg wrote is renewed, no other file is replaced.
    """
    with reported(debug=invocation.debug):
        if not inputs and camera is None:
            raise typer.BadParameter("Missing argument 'INPUT...': name images, films or folders, or --camera 0")
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.runtime.device.commands import BundleChoice
        from edgeseg.runtime.predict.order import PredictOrder
        from edgeseg.runtime.predict.session import predict as segment

        order = PredictOrder(tuple(inputs or ()), out, decision, overlay, overwrite, camera, every, frames)
        # Lines on a terminal show by themselves how far it is.
        silent = sys.stdout.isatty() and not as_json
        with segment(BundleChoice(bundle, variant, threads), order) as prediction:
            bar = nullcontext(_no_progress) if silent else count_progress("segmenting")
            try:
                with bar as progress, _rows(prediction, as_json=as_json) as put:
                    for row in prediction:
                        put(row)
                        progress(prediction.done, prediction.total)
            except KeyboardInterrupt:  # how a camera's pictures usually end
                raise EdgesegError(f"stopped; {prediction.ok} masks are written") from None
        raise Stop(ERROR if prediction.failed else OK)


@contextmanager
def _rows(prediction: Prediction, *, as_json: bool) -> Iterator[Put]:
    """Hand out the function that prints a row; what is known before and after is printed around the rows."""
    from edgeseg.runtime.text import terminal

    if as_json:
        with terminal.put_json_rows(prediction.head, prediction.tail) as put:
            yield put
        return
    from edgeseg.pipeline.text.predict import head_text, row_text, tail_text

    head = prediction.head
    terminal.put(head_text(head))
    try:
        yield lambda row: terminal.put(row_text(row))
    finally:
        terminal.put(tail_text(head | prediction.tail()))


def _no_progress(done: int, total: int) -> None:
    pass
