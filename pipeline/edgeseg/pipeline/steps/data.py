"""The images that a step works on."""

from __future__ import annotations

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.errors import DataError


def open_data(context: StepContext) -> DataSet:
    """The run's data set, with the split that was written down in the run's folder where the data bring none.

    Raises:
        DataError: If that split is gone. Another one must not be drawn in the middle of a run.
    """
    kept = context.split_file if context.split_file.is_file() else None
    data = open_dataset(context.data_root, split_file=kept)
    if kept is None and not data.split_given:
        raise DataError(f"{context.split_file}, which says how the images are split, is gone; give the command again")
    return data
