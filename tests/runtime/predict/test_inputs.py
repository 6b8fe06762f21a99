"""What is taken of files and folders, where its mask goes, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.predict.inputs import gather
from edgeseg.runtime.predict.own_files import encode_own

PNG = b"\x89PNG\r\n\x1a\n"
AVI = b"RIFF\0\0\0\0AVI LIST"
MP4 = b"\0\0\0\x18ftypisom"


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def places(inputs: list[Path], out: Path) -> dict[str, bool]:
    return {one.place.as_posix(): one.is_film for one in gather(inputs, out).found}


def test_a_folder_keeps_its_tree(tmp_path: Path) -> None:
    files = {
        "x.png": PNG,
        "a/b/y.JPG": b"",
        "a/film.avi": AVI,
        "notes.txt": b"",
        ".z.png": PNG,
        "noext": b"",
        "a/c.gif": b"",
    }
    root = fill(tmp_path / "in", files)
    gathered = gather([root], tmp_path / "out")
    assert {one.place.as_posix(): one.is_film for one in gathered.found} == {"x": False, "a/b/y": False, "a/film": True}
    reasons = {Path(one["file"]).name: one["reason"] for one in gathered.not_taken}
    assert reasons.keys() == {"notes.txt", ".z.png", "noext", "c.gif"}
    assert ".txt" in reasons["notes.txt"] and reasons[".z.png"] == "hidden" and reasons["noext"] == "no suffix"


def test_the_output_folder_is_no_input(tmp_path: Path) -> None:
    root = fill(tmp_path, {"x.png": PNG, "masks/x.png": PNG})
    assert places([root], root / "masks") == {"x": False}
    assert places([root / "x.png", root / "masks"], root / "masks") == {"x": False}  # a shell's *


def test_what_edgeseg_wrote_and_masks_of_a_data_set_are_no_frames(tmp_path: Path) -> None:
    own = encode_own(np.zeros((4, 4), np.uint8))
    root = fill(tmp_path, {"x.png": PNG, "earlier/x.png": own, "set/images/y.png": PNG, "set/masks/y.png": PNG})
    fill(root, {"masks/z.png": PNG})  # no images/ beside it: a folder of that name
    gathered = gather([root], root / "out")
    assert [one.place.as_posix() for one in gathered.found] == ["masks/z", "set/images/y", "x"]
    reasons = {one["file"]: one["reason"] for one in gathered.not_taken}
    assert reasons[str(root / "earlier" / "x.png")] == "edgeseg wrote it"
    assert "masks of a data set" in reasons[str(root / "set" / "masks")]
    assert places([root / "earlier" / "x.png", root / "set" / "masks"], root / "out").keys() == {"x", "y"}  # as named
    with pytest.raises(ConfigError, match=r"no image or film in it \(1 not taken: edgeseg wrote it\)"):
        gather([root / "earlier"], root / "out")


def test_links_are_followed_once(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a/x.png": PNG})
    (root / "a" / "up").symlink_to(root)
    (root / "elsewhere").symlink_to(fill(tmp_path / "other", {"y.png": PNG}))
    (root / "gone.png").symlink_to(root / "nothing")
    (root / "loop").symlink_to(root / "loop")
    assert places([root], tmp_path / "out") == {"a/x": False, "elsewhere/y": False}


@pytest.mark.parametrize(
    ("name", "content", "film"),
    [
        ("a.mp4", MP4, True),
        ("a.dat", MP4, True),
        ("a.png", MP4, True),
        ("a.heic", b"\0\0\0\x18ftypheic", False),
        ("a.avi", AVI, True),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 ", False),
        ("a.mkv", b"\x1aE\xdf\xa3", True),
        ("a.mp4", b"", True),
        ("a.mp4", b"\xff\xd8\xff\xe0", False),
        ("a.png", PNG, False),
    ],
)
def test_a_film_is_known_by_its_content(tmp_path: Path, name: str, content: bytes, film: bool) -> None:
    root = fill(tmp_path, {name: content})
    assert places([root / name], tmp_path / "out") == {"a": film}


def test_a_named_file_is_always_taken(tmp_path: Path) -> None:
    assert places([tmp_path / "gone.xyz"], tmp_path / "out") == {"gone": False}


def test_a_folder_without_images_says_what_is_taken(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a.txt": b"", "b.txt": b""})
    with pytest.raises(ConfigError, match=r"no image or film in it \(2 not taken: .*\).*\.png.*\.mp4"):
        gather([root], tmp_path / "out")
