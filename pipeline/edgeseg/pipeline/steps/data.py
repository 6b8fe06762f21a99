"""The images that a step works on: those of the run, and no others."""

from __future__ import annotations

from pathlib import Path

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.errors import DataError

# Where the files of the images lie, how long they are and when they were written, of the identity that they had then:
# of thousands of large frames that takes no time, and reading them all before every step would.
_seen: dict[tuple[object, ...], str] = {}


def open_data(context: StepContext) -> DataSet:
    """The run's data set, with the split that was written down in the run's folder where the data bring none.

    Raises:
        DataError: If that split is gone: another one must not be drawn in the middle of a run. If images, masks or
            split are not those with which the run began: a student would be taught on other images than its teacher.
    """
    kept = context.split_file if context.split_file.is_file() else None
    data = open_dataset(context.data_root, split_file=kept)
    if kept is None and not data.split_given:
        raise DataError(f"{context.split_file}, which says how the images are split, is gone; give the command again")
    if context.data_key is not None and _identity(data) != context.data_key:
        raise DataError(
            f"{data.root}: images, masks or their split have changed since this run began; give the command again, "
            "and what depends on them is made again"
        )
    return data


def _identity(data: DataSet) -> str:
    files = tuple(
        (one.stem, one.split, one.group, *(_stamp(path) for path in (one.image, one.mask))) for one in data.samples
    )
    stamp = (data.root, data.classes, data.color, data.ignore, data.window, files)
    if stamp not in _seen:
        _seen.clear()  # of one data set at a time
        _seen[stamp] = data_identity(data)
    return _seen[stamp]


def _stamp(path: Path) -> tuple[int, int, int]:
    """Size and times; the change time tells of a file that was copied over with its date kept."""
    try:
        found = path.stat()
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror})") from err
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
