"""`python -m edgeseg.runtime predict` as a whole: masks right, rows as they are done, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.runtime.__main__ import main
from edgeseg.runtime.device.commands import BundleChoice
from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.predict import session
from edgeseg.runtime.predict.order import PredictOrder
from edgeseg.runtime.segmenter import Segmenter

from .films import write_avi_of, write_film

GBK = os.fsdecode("检测".encode("gbk"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any, str]:
    code = main(["predict", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def draw(path: Path, seed: int = 0) -> np.ndarray:
    """A frame of flat fields, and the mask that the tiny model sees in it."""
    mask = np.random.default_rng(seed).integers(0, 3, (2, 3), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", mask * 100 + 20)[1].tobytes())
    return mask


def mask_of(path: Path) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_folder_keeps_its_tree_and_counts_what_is_left(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("x.png", "a/y.png", f"a/b/{GBK}.png")
    truths = {name: draw(tmp_path / "in" / name, seed) for seed, name in enumerate(names)}
    (tmp_path / "in" / "a" / "notes.txt").touch()
    code, report, _ = run(capsys, tiny_bundle, tmp_path / "in", "--out", tmp_path / "out", "--overlay")
    assert code == 0
    assert report["counts"] == {"ok": 3, "failed": 0, "not_taken": 1} and report["stopped"] is None
    assert [Path(one["file"]).name for one in report["not_taken"]] == ["notes.txt"]
    for name, truth in truths.items():
        assert (mask_of(tmp_path / "out" / name) != truth).mean() < 0.05
        assert mask_of(tmp_path / "out" / "overlays" / name).shape == (64, 96, 3)
    assert [row["mask"] for row in report["images"]] == [str(tmp_path / "out" / name) for name in sorted(names)]


def test_the_truth_is_not_overwritten(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "images" / "x.png")
    draw(tmp_path / "images" / "w.png")
    truth = tmp_path / "masks" / "x.png"
    draw(truth, 5)
    before = truth.read_bytes()
    arguments = (tiny_bundle, *sorted((tmp_path / "images").iterdir()), "--out", tmp_path / "masks")
    code, report, err = run(capsys, *arguments)
    assert (code, report) == (2, None) and "--overwrite" in err and truth.read_bytes() == before
    assert not (tmp_path / "masks" / "w.png").exists()  # refused before the first frame
    assert run(capsys, *arguments, "--overwrite")[0] == 0
    assert truth.read_bytes() != before
    assert run(capsys, *arguments)[0] == 0  # our own masks are renewed


def test_a_film(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, out = write_film(tmp_path / "a.avi", 6), tmp_path / "out"
    code, report, _ = run(capsys, tiny_bundle, film, "--out", out, "--every", 2, "--overlay")
    assert code == 0
    assert [row["frame"] for row in report["images"]] == [1, 3, 5]
    assert report["films"] == [{"film": str(film), "frames": 6, "frames_stated": 6, "fps": 10.0, "segmented": 3}]
    for row in report["images"]:
        mask = mask_of(Path(row["mask"]))
        assert mask.shape == (64, 96)
        border = 20 + 2 * (row["frame"] - 1)
        assert (mask[:, : border - 4] == 0).all() and (mask[:, border + 4 :] == 2).all()
    drawn = cv2.VideoCapture(str(out / "overlays" / "a.mp4"))
    if drawn.isOpened():
        assert (drawn.get(cv2.CAP_PROP_FRAME_COUNT), drawn.get(cv2.CAP_PROP_FPS)) == (3, 5)
        picture = drawn.read()[1]
        assert np.ptp(picture[32, 80].astype(int)) > 20 > np.ptp(picture[32, 5].astype(int))  # tinted, not tinted
    # A shorter pass leaves no frames of the longer one behind, and a picture of the user's stays.
    assert run(capsys, tiny_bundle, film, "--out", out, "--frames", 2)[0] == 0
    assert sorted(path.name for path in (out / "a").iterdir()) == ["000001.png", "000002.png"]


def test_overlays_of_films_whose_names_opencv_cannot_be_given(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / GBK).mkdir(parents=True)
    write_film(tmp_path / "in" / "a.avi", 3).rename(tmp_path / "in" / f"{GBK}.avi")
    write_film(tmp_path / "b.avi", 3).rename(tmp_path / "in" / GBK / "b.avi")
    out = tmp_path / "out"
    for _ in range(2):
        code, report, _ = run(capsys, tiny_bundle, tmp_path / "in", "--out", out, "--overlay")
        assert code == 0 and [one["segmented"] for one in report["films"]] == [3, 3]
        assert all(Path(row["mask"]).is_file() and Path(row["overlay"]).is_file() for row in report["images"])
    # Where no film can be written, pictures are.
    assert mask_of(out / "overlays" / GBK / "b" / "000003.png").shape == (64, 96, 3)


def test_colours_of_a_film_are_not_swapped(tiny_onnx, tmp_path: Path) -> None:
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 2] = 250  # BGR
    film = write_avi_of(tmp_path / "red.avi", [red] * 2)
    path, spec = tiny_onnx(color="rgb")
    seen: list[np.ndarray] = []

    class Watched(Segmenter):
        def __call__(self, frame: np.ndarray, **options: bool) -> Any:
            seen.append(frame)
            return super().__call__(frame, **options)

    class Choice(BundleChoice):
        def open(self) -> Segmenter:
            from edgeseg.runtime.backends import open_backend

            return Watched(open_backend(path, spec, 1), "tiny")

    with session.predict(Choice(path), PredictOrder((film,), tmp_path / "out")) as prediction:
        assert [row["status"] for row in prediction] == ["ok", "ok"]
    assert seen[0][..., 0].mean() > 200 and seen[0][..., 2].mean() < 60


def test_a_truncated_film_fails_and_keeps_its_masks(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = write_film(tmp_path / "a.avi")
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 4 // 5])
    draw(tmp_path / "x.png")
    code, report, err = run(capsys, tiny_bundle, film, tmp_path / "x.png", "--out", tmp_path / "out")
    assert code == 1 and "truncated or damaged" in err
    *frames, failure, image = report["images"]
    assert failure["status"] == "failed" and "frame" not in failure and image["status"] == "ok"
    assert all(Path(row["mask"]).exists() for row in frames) and 0 < len(frames) < 12


@pytest.mark.parametrize(
    "error", [MemoryError(), cv2.error("Insufficient memory"), FrameError("odd"), OSError(36, "File name too long")]
)
def test_one_image_s_failure_is_its_row(
    error: Exception,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in "abc":
        draw(tmp_path / "in" / f"{name}.png")
    calls = iter((None, error, None))

    def read(*arguments: object, **options: object) -> np.ndarray:
        if (raised := next(calls)) is not None:
            raise raised
        return np.full((64, 96), 120, np.uint8)

    monkeypatch.setattr(session, "read_image", read)
    code, report, err = run(capsys, tiny_bundle, tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1 and [row["status"] for row in report["images"]] == ["ok", "failed", "ok"]
    assert report["images"][1]["reason"] and "b.png: " in err and "Traceback" not in err


def test_an_image_that_fails_keeps_no_mask_of_an_earlier_run(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        draw(tmp_path / "in" / f"{name}.png")
    out = tmp_path / "out"
    arguments = (tiny_bundle, tmp_path / "in", "--out", out, "--overlay")
    assert run(capsys, *arguments)[0] == 0
    for name in "ab":
        (tmp_path / "in" / f"{name}.png").write_bytes(b"\x89PNG")
    corrected = draw(out / "b.png", 7)  # the user's now, like what lies beside the masks
    draw(out / "other.png")
    code, report, _ = run(capsys, *arguments, "--overwrite")
    assert code == 1 and [row["status"] for row in report["images"]] == ["failed", "failed", "ok"]
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert left == ["b.png", "c.png", "other.png", "overlays/c.png"]
    assert np.array_equal(mask_of(out / "b.png"), corrected * 100 + 20)


def test_rows_come_as_they_are_done_and_none_is_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    film, out = write_film(tmp_path / "a.avi", 400), tmp_path / "out"
    held: list[int] = []
    with session.predict(BundleChoice(tiny_bundle), PredictOrder((film,), out)) as prediction:
        tracemalloc.start()
        for row in prediction:
            assert Path(row["mask"]).exists() and not (out / "a" / f"{row['frame'] + 1:06d}.png").exists()
            if row["frame"] % 50 == 0:
                held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert len(held) == 8
    assert np.median(np.diff(held)) < 5_000  # bytes; the rows of 50 frames would be some 50 kB


@pytest.mark.parametrize("locale", ["utf-8:strict", "ascii", "cp1252"])
def test_names_in_any_locale(tiny_bundle: Path, tmp_path: Path, locale: str) -> None:
    for name in ("two words", "检测 图", "-dash", GBK, "a\x1b[2Jb"):
        draw(tmp_path / "in" / f"{name}.png")
    command = [
        sys.executable,
        "-m",
        "edgeseg.runtime",
        "predict",
        tiny_bundle,
        tmp_path / "in",
        "--out",
        tmp_path / "out",
    ]
    done = subprocess.run(
        command, capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": locale}, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.decode("utf-8"))["images"]
    assert len(rows) == 5 and all(Path(row["mask"]).is_file() for row in rows)
    assert b"\x1b" not in done.stdout + done.stderr


def start(tiny_bundle: Path, tmp_path: Path, n: int) -> subprocess.Popen[bytes]:
    draw(tmp_path / "in" / "x.png")
    for number in range(n):
        (tmp_path / "in" / f"{number:04d}.png").hardlink_to(tmp_path / "in" / "x.png")
    command = [
        sys.executable,
        "-m",
        "edgeseg.runtime",
        "predict",
        tiny_bundle,
        tmp_path / "in",
        "--out",
        tmp_path / "out",
    ]
    # A job that a script has started in the background is deaf to ctrl-c, and so are those that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_one_valid_document(tiny_bundle: Path, tmp_path: Path) -> None:
    with start(tiny_bundle, tmp_path, 5000) as process:
        assert process.stdout is not None
        head = b""
        while b'"status": "ok"' not in head:
            head += process.stdout.read(2000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    report = json.loads((head + out).decode())
    assert process.returncode == 1 and report["stopped"] and "Traceback" not in err.decode()
    assert 0 < len(report["images"]) <= report["counts"]["ok"] < 5000  # the last one's row may be what was stopped


def test_head_closes_the_pipe_and_every_mask_is_written(tiny_bundle: Path, tmp_path: Path) -> None:
    with start(tiny_bundle, tmp_path, 300) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read().decode()
        code = process.wait()
    assert code == 1 and err == "error: stdout was closed before everything was printed\n"
    assert len(list((tmp_path / "out").iterdir())) == 301


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="a camera 99 is here")
def test_no_camera(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, err = run(capsys, tiny_bundle, "--camera", 99, "--frames", 3, "--out", tmp_path / "out")
    assert (code, report) == (2, None) and "/dev/video99 is not there" in err and not (tmp_path / "out").exists()
    code, report, err = run(capsys, tiny_bundle, "x.png", "--camera", 99, "--out", tmp_path / "out")
    assert (code, report) == (2, None) and "inputs and --camera" in err
