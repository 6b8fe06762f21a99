"""What the peer benchmark does on our side; the other projects' networks are made in an environment of their own."""

import importlib
import json
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.benchmarks.subject import Subject
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError, MeasureError

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "peers"
SIZE = 64


@pytest.fixture
def scripts(monkeypatch):
    pytest.importorskip("torch", reason="the scripts make networks")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("peers"), importlib.import_module("peer_data")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pytest.importorskip("torch")
    from edgeseg.train.synthetic.dataset import write_dataset

    root = tmp_path_factory.mktemp("data") / "metal"
    write_dataset(root, n=12, seed=0, size_px=96)
    return open_dataset(root)


def test_nothing_under_agpl_lands_in_the_repository(scripts):
    with pytest.raises(ConfigError, match="lies in the repository"):
        scripts[0].make_environment(SCRIPTS / "env", [])
    with pytest.raises(ConfigError, match="lies in the repository"):
        scripts[0].write_peers(Path("python"), SCRIPTS / "files", Namespace(), None)
    assert not (SCRIPTS / "env").exists() and not (SCRIPTS / "files").exists()


def test_files_of_before_are_taken_for_what_they_are(scripts, tmp_path):
    of = {"size_px": SIZE, "classes": 3, "trained": False}
    (tmp_path / "about.json").write_text(json.dumps({"of": of, "peers": {"a": {"params": 1}, "b": {"params": 2}}}))
    args = Namespace(size=SIZE, train=None, peers=None)
    assert list(scripts[0].read_peers(tmp_path, args, 3)) == ["a", "b"]
    args.peers = ["b"]
    assert scripts[0].read_peers(tmp_path, args, 3) == {"b": {"params": 2}}
    with pytest.raises(ConfigError, match=r"'classes': 3.*asked is.*'classes': 2"):
        scripts[0].read_peers(tmp_path, args, 2)
    args.peers = ["c", "a"]
    with pytest.raises(ConfigError, match="no files of c; name another"):
        scripts[0].read_peers(tmp_path, args, 3)


def test_what_a_failing_command_said_is_told(scripts, tmp_path):
    broken = tmp_path / "bin" / "python"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'no such package' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(MeasureError, match="python ended with code 3: no such package"):
        scripts[0].write_peers(broken, tmp_path, Namespace(size=SIZE, peers=None, epochs=1), None)


def test_train_and_val_are_written_as_the_other_tool_reads_them(scripts, data, tmp_path):
    about = json.loads(scripts[1].write_semantic(data, tmp_path, SIZE).read_text())
    assert about["names"] == list(data.classes) and about["masks_dir"] == "masks"
    for split in ("train", "val"):
        assert about[split] == f"images/{split}"
        for kind in ("images", "masks"):
            written = sorted(path.stem for path in (tmp_path / kind / split).iterdir())
            assert written == sorted(sample.stem for sample in data.split(split))
    sample = data.split("train")[0]
    mask = cv2.imread(str(tmp_path / "masks" / "train" / f"{sample.stem}.png"), cv2.IMREAD_UNCHANGED)
    truth = cv2.resize(sample.read_truth(len(data.classes)), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    assert mask.shape == (SIZE, SIZE)
    np.testing.assert_array_equal(mask, truth)


def test_nothing_takes_the_place_of_a_first_peer_without_a_file(
    scripts, tmp_path, monkeypatch, make_row, make_result, noisy
):
    folders = {name: tmp_path / name for name in ("first", "second", "ours")}
    for name in ("second", "ours"):
        folders[name].mkdir()
        (folders[name] / "fp32.onnx").write_bytes(b"")
    subjects = [Subject("", Path("m"), None)] * 2
    monkeypatch.setattr(scripts[0], "engine_subjects", lambda paths, _: subjects[: len(paths)])
    result = make_result(make_row("second", noisy(7.0, 0)), make_row("ours", noisy(3.0, 1)))
    monkeypatch.setattr(scripts[0], "measure", lambda *_: result)
    rows = scripts[0].compare("ort-fp32", folders, Namespace(threads=1, processes=5, seconds=1.0, size=SIZE))
    assert [row["network"] for row in rows] == ["second", "ours"]
    assert not any("times_as_fast" in row for row in rows)


def test_a_coarse_student_gets_the_same_dice_as_a_peer_and_as_ours(scripts, data, tmp_path):
    peers, peer_data = scripts
    torch = importlib.import_module("torch")
    args = Namespace(students=["0.25:8"], checkpoints=[], size=SIZE, threads=1)
    ((name, network),) = peers.our_students(args, len(data.classes)).items()
    assert name == "student 0.25 stride 8" and network.output_stride == 8
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    peers.write_student(network, tmp_path / "ours", args, data.classes, None)
    assert sorted(path.name for path in (tmp_path / "ours").glob("*.*")) == ["fp32.onnx", "int8.tflite"]
    torch.onnx.export(
        network, (torch.rand(1, 3, SIZE, SIZE),), tmp_path / "peer.onnx", dynamo=True, external_data=False
    )
    as_peer = peer_data.scored(peer_data.OnnxPeer(tmp_path / "peer.onnx", SIZE), data)
    ours = peers.write_student(network, tmp_path / "scored", args, data.classes, data)["scores"]
    for split in ("val", "test"):
        assert as_peer[split]["dice_mean"] == pytest.approx(ours[split]["dice_mean"], abs=1e-3)
        assert as_peer[split]["dice_mean"] > 0
