"""An image with an orientation and the mask drawn for it: never silently another picture."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.data.check import check_dataset
from edgeseg.runtime.data.dataset import check_sizes, open_dataset, read_image, read_mask
from edgeseg.runtime.faults import FaultError

from ...container.image_files import coded, jpeg_turned, picture
from ...data_folders import save, write_folder


def folder(root: Path, orientation: int, image_px: tuple[int, int], mask_px: tuple[int, int]) -> Path:
    """A data set in which image 4 is a JPEG stored turned; its mask has the given size."""
    write_folder(root)
    (root / "images" / "4.png").unlink()
    (root / "images" / "4.jpg").write_bytes(jpeg_turned(coded(".jpg", picture(image_px)), orientation))
    mask = np.zeros(mask_px, np.uint8)
    mask[2:5, 2:5], mask[6:9, 6:9] = 1, 2
    save(root / "masks" / "4.png", mask)
    return root


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_drawn_on_the_stored_pixels_is_refused_and_exif_is_named(tmp_path, orientation):
    root = folder(tmp_path, orientation, (24, 40), (24, 40))
    (fault,) = check_dataset(root)
    assert (fault.file, fault.kind) == ("masks/4.png", "size mismatch")
    assert f"EXIF orientation {orientation}" in fault.message
    assert "EXIF" in fault.remedy
    sample = next(one for one in open_dataset(root).samples if one.stem == "4")
    with pytest.raises(FaultError, match="EXIF"):
        check_sizes(sample, read_image(sample.image, "gray"), read_mask(sample.mask, 3))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_drawn_on_the_turned_pixels_is_fine(tmp_path, orientation):
    assert check_dataset(folder(tmp_path, orientation, (24, 40), (40, 24))) == []


@pytest.mark.parametrize(("orientation", "size_px"), [(2, (24, 40)), (3, (24, 40)), (4, (24, 40)), (6, (32, 32))])
def test_a_turn_that_the_mask_s_size_cannot_confirm_is_a_fault(tmp_path, orientation, size_px):
    (fault,) = check_dataset(folder(tmp_path, orientation, size_px, size_px))
    assert (fault.file, fault.kind) == ("images/4.jpg", "turned image")
    assert f"EXIF orientation {orientation}" in fault.message


def test_a_mask_of_another_size_and_a_turned_one_get_other_remedies(tmp_path):
    (fault,) = check_dataset(folder(tmp_path / "a", 1, (24, 40), (12, 20)))
    assert "EXIF" not in str(fault)
    (fault,) = check_dataset(folder(tmp_path / "b", 1, (24, 40), (40, 24)))
    assert "without its EXIF orientation" in fault.remedy
