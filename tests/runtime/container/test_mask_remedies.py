"""What is told about a mask must not destroy its ids: a remedy for pictures would."""

import io
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.data.imagefile import read_mask
from edgeseg.runtime.faults import Fault, FaultError

from ..data_folders import truth

Image = pytest.importorskip("PIL.Image")  # not among the lowest versions

PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0]


def palette_mask() -> Image.Image:
    image = Image.fromarray(truth()).convert("P")
    image.putpalette(PALETTE)
    return image


def refused(folder: Path, image: Image.Image, kind: str = "PNG", **options: object) -> Fault:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    (folder / "m.png").write_bytes(buffer.getvalue())
    with pytest.raises(FaultError) as caught:
        read_mask(folder / "m.png", 3)
    return caught.value.fault


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_of_any_depth_is_told_to_be_one(tmp_path: Path, bits: int) -> None:
    fault = refused(tmp_path, palette_mask(), bits=bits)
    assert fault.kind == "palette" and "keep the numbers" in fault.remedy


def test_ids_in_the_alpha_channel_are_not_to_be_flattened(tmp_path: Path) -> None:
    drawn = np.dstack([np.zeros_like(truth())] * 3 + [(truth() > 0).astype(np.uint8) * 255])
    fault = refused(tmp_path, Image.fromarray(drawn))
    assert fault.kind == "transparent" and "alpha channel" in fault.remedy and "flatten" not in fault.remedy


def test_inks_are_not_to_be_converted(tmp_path: Path) -> None:
    fault = refused(tmp_path, Image.fromarray(np.dstack([truth()] * 4), "CMYK"), "TIFF")
    assert "CMYK" in fault.message and "class ids" in fault.remedy and "convert" not in fault.remedy


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(FaultError, match="git lfs pull"):
        read_mask(tmp_path / "m.png", 3)
