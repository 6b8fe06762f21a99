"""A window that loses what is in the images is told, with what they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.data.check import examine

from ..data_folders import CLASSES, frame, save, write_folder


def deep_folder(root: Path, window: list[int]) -> Path:
    """Nine frames of 12 bits, values 0 to 4080."""
    write_folder(root, yaml=f"name: deep\nclasses: {CLASSES}\ncolor: gray\nwindow: {window}\n")
    for path in (root / "images").iterdir():
        save(path, frame(int(path.stem)).astype(np.uint16) * 16)
    return root


def test_a_fitting_window_has_no_fault(tmp_path: Path) -> None:
    checked = examine(deep_folder(tmp_path, [0, 4095]))
    assert (checked.faults, checked.warnings) == ((), ())


@pytest.mark.parametrize("window", [[60000, 65535], [4090, 4100]])
def test_a_window_that_leaves_nothing_is_one_fault(tmp_path: Path, window: list[int]) -> None:
    (fault,) = examine(deep_folder(tmp_path, window)).faults
    assert (fault.file, fault.kind) == ("images/0.png", "lost by the window")
    assert "one gray level of 9 of the 9 images; the images hold values from 0 to 4080" in fault.message


def test_a_window_far_too_wide_is_warned_of(tmp_path: Path) -> None:
    checked = examine(deep_folder(tmp_path, [0, 65535]))
    (warning,) = checked.warnings
    assert checked.faults == () and warning.kind == "wide window" and "leaves 17 of 256 gray levels" in warning.message
