"""No file of the user's is ever lost: what is refused, what may be renewed, and what --overwrite changes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.golden import encode_png
from edgeseg.runtime.predict.inputs import Input
from edgeseg.runtime.predict.outputs import check_outputs
from edgeseg.runtime.predict.own_files import sealed_png

PNG = encode_png(np.zeros((4, 5), np.uint8))


def check(inputs: list[Input], out: Path, *, overlay: bool = False, overwrite: bool = False) -> None:
    check_outputs(inputs, out, [one.path for one in inputs], overlay=overlay, overwrite=overwrite)


def image(path: Path, place: str | None = None) -> Input:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG)
    return Input(path, Path(place or path.stem), False)


def test_a_foreign_file_is_kept_unless_told(tmp_path: Path) -> None:
    one, out = image(tmp_path / "images" / "x.png"), tmp_path / "masks"
    truth = image(out / "x.png").path
    with pytest.raises(ConfigError, match=r"masks/x\.png would be overwritten.*--overwrite"):
        check([one], out)
    check([one], out, overwrite=True)
    truth.write_bytes(sealed_png(PNG))
    check([one], out)
    truth.unlink()
    truth.symlink_to(tmp_path / "gone.png")  # a link, even a broken one, is the user's
    with pytest.raises(ConfigError, match="--overwrite"):
        check([one], out)


@pytest.mark.parametrize("how", ["same", "hard link", "symbolic link", "link to the folder"])
def test_an_input_is_never_replaced(tmp_path: Path, how: str) -> None:
    one, out = image(tmp_path / "in" / "x.png"), tmp_path / "out"
    if how == "same":
        out = tmp_path / "in"
    elif how == "link to the folder":
        out.symlink_to(tmp_path / "in")
    else:
        out.mkdir()
        (os.link if how == "hard link" else os.symlink)(one.path, out / "x.png")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="would replace it"):
            check([one], out, overwrite=overwrite)


def test_not_even_another_input(tmp_path: Path) -> None:
    inputs = [
        image(tmp_path / "a" / "x.png"),
        image(tmp_path / "b" / "y.jpg", "y"),
        image(tmp_path / "b" / "x.png", "z"),
    ]
    with pytest.raises(ConfigError, match="which is read too"):
        check_outputs(inputs[:1], tmp_path / "b", [one.path for one in inputs], overlay=False, overwrite=True)


@pytest.mark.parametrize("stems", [("x", "x"), ("part", "PART"), ("\u00e9", "e\u0301"), ("stra\u00dfe", "STRASSE")])
def test_two_inputs_of_one_mask_are_refused(tmp_path: Path, stems: tuple[str, str]) -> None:
    inputs = [image(tmp_path / "a" / f"{stems[0]}.png"), image(tmp_path / "b" / f"{stems[1]}.jpg")]
    with pytest.raises(ConfigError, match="would both write"):
        check(inputs, tmp_path / "out", overwrite=True)


def test_one_file_named_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    inputs = [image(tmp_path / "x.png"), Input(tmp_path / "b" / ".." / "x.png", Path("x"), False)]
    with pytest.raises(ConfigError, match="are one file"):
        check(inputs, tmp_path / "out")


def test_a_mask_among_the_frames_of_a_film_is_refused(tmp_path: Path) -> None:
    film = Input(tmp_path / "a.mp4", Path("a"), True)
    with pytest.raises(ConfigError, match="among the frames"):
        check([film, image(tmp_path / "in" / "000001.png", "a/000001")], tmp_path / "out")
    with pytest.raises(ConfigError, match="would both write"):
        check(
            [image(tmp_path / "x.png"), image(tmp_path / "o" / "x.png", "overlays/x")], tmp_path / "out", overlay=True
        )


def test_frames_and_overlays_are_looked_at_too(tmp_path: Path) -> None:
    film, out = Input(tmp_path / "a.mp4", Path("a"), True), tmp_path / "out"
    foreign = image(out / "a" / "000007.png").path
    with pytest.raises(ConfigError, match=r"000007\.png would be overwritten"):
        check([film], out)
    foreign.write_bytes(sealed_png(PNG))
    check([film], out)
    drawn = out / "overlays" / "a.mp4"
    drawn.parent.mkdir()
    drawn.write_bytes(b"a film of the user's")
    check([film], out)
    with pytest.raises(ConfigError, match=r"a\.mp4 would be overwritten"):
        check([film], out, overlay=True)


def test_files_and_folders_in_each_other_s_place(tmp_path: Path) -> None:
    one = image(tmp_path / "x.png", "a/x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(ConfigError, match="is no folder"):
        check([one], tmp_path / "out", overwrite=True)
    with pytest.raises(ConfigError, match="is no folder"):
        check([one], tmp_path / "x.png" / "deep", overwrite=True)
    (tmp_path / "other" / "a" / "x.png").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is a folder"):
        check([one], tmp_path / "other", overwrite=True)
