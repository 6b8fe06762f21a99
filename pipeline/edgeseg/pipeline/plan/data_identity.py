"""What the images of a run are, in one hash: of images, masks and split."""

from __future__ import annotations

import hashlib

from edgeseg.runtime.data.dataset import DataSet, content_hash, split_hash


def data_identity(data: DataSet) -> str:
    """SHA-256 (hex) of images, masks and split; every file is read.

    Raises:
        DataError: One of them cannot be read.
    """
    return hashlib.sha256((content_hash(data) + split_hash(data)).encode()).hexdigest()
