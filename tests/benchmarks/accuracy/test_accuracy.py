"""`bench run --data`: what a row says of its accuracy is what `edgeseg evaluate`'s scorer says of the same file."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.accuracy.images import Images, read_table, unpack
from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.targets.measured import measured
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.score.evaluate import evaluate
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.segmenter import Segmenter


def truth(subject, samples):
    with Segmenter.from_file(subject.model, subject.spec, threads=1) as segmenter:
        return summarize(evaluate(segmenter, samples, subject.spec.classes, color="gray"), subject.spec.classes)


def test_every_row_is_scored_on_the_test_images(make_subject, frame, tiny_config, dataset):
    subjects = (make_subject("a"), make_subject("b", 8))
    images, told = Images.of(dataset, None, subjects), []
    job = Measurement(subjects, frame, "part.png", tiny_config, images=images)
    result = measured(job, lambda done, what: told.append((done, what)))
    assert len(images.samples) == 4 and images.about["split"] == "test"
    for row, subject in zip(result.rows, subjects, strict=True):
        wanted = truth(subject, images.samples)
        assert {key: row.accuracy[key] for key in wanted} == json.loads(json.dumps(wanted))
        assert (
            row.accuracy["dice_interval"]["lo95"] <= row.accuracy["dice_mean"] <= row.accuracy["dice_interval"]["hi95"]
        )
        assert (row.accuracy["data"], row.accuracy["split"]) == ("parts", "test") and row.processes
    assert [done for done, _ in told] == sorted(done for done, _ in told) and told[-1][0] <= 1.0


def test_what_goes_to_a_device_is_the_same(make_subject, dataset, tmp_path):
    images = Images.of(dataset, "all", [make_subject("a")])
    packed = images.pack(tmp_path / "images.zip").read_bytes()
    assert images.pack(tmp_path / "images.zip").read_bytes() == packed  # the same job again
    there, here = unpack(tmp_path / "images.zip", tmp_path / "there"), read_table(images.write_table(tmp_path))
    assert [one.stem for one in there.samples] == [one.stem for one in images.samples] and there.about == images.about
    for one, other, third in zip(there.samples, images.samples, here.samples, strict=True):
        assert one.image.read_bytes() == other.image.read_bytes() == third.image.read_bytes()
        np.testing.assert_array_equal(one.read_truth(3), other.read_truth(3))
        assert (one.group, one.ids, one.ignore) == (other.group, other.ids, other.ignore)


def test_classes_in_another_order_are_mapped(make_subject, dataset):
    yaml = dataset / "dataset.yaml"
    subject = make_subject("a")
    straight = [one.read_truth(3) for one in Images.of(dataset, "all", [subject]).samples]
    yaml.write_text(yaml.read_text().replace("[background, scratch, pit]", "[background, pit, scratch]"))
    turned = [one.read_truth(3) for one in Images.of(dataset, "all", [subject]).samples]
    for one, other in zip(straight, turned, strict=True):
        np.testing.assert_array_equal(np.array([0, 2, 1])[one], other)


def test_a_file_that_cannot_be_scored_keeps_its_times(make_subject, frame, tiny_config, dataset):
    subject = make_subject("a")
    images = Images.of(dataset, None, [subject])
    images.samples[2].mask.write_bytes(b"no image")
    (row,) = measured(Measurement((subject,), frame, "f", tiny_config, images=images), lambda *_: None).rows
    assert row.status == "ok" and row.processes and list(row.accuracy) == ["reason"]
    assert images.samples[2].mask.name in row.accuracy["reason"]


def test_what_cannot_be_scored_is_refused_before_anything_is_measured(make_subject, dataset):
    alone = EngineSubject("x", make_subject("a").model, EngineSpec("onnxruntime", ()))
    with pytest.raises(ConfigError, match="an engine by itself makes no masks"):
        Images.of(dataset, None, [alone])
    one, other = make_subject("b"), make_subject("c")
    spec = dataclasses.replace(other.spec, classes=("background", "pit", "scratch"))
    with pytest.raises(ConfigError, match="c has other classes, another colour or window than b"):
        Images.of(dataset, None, [one, dataclasses.replace(other, spec=spec)])


def test_the_command(make_model, spec, dataset, tmp_path):
    folder = make_model("student").parent
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    quick = ["--threads=1", "--processes=1", "--blocks=1", "--seconds=0.02", "--min-samples=4", "--warmup-cap=0.1"]
    out = tmp_path / "r.json"
    done = CliRunner().invoke(
        app, ["run", str(folder), *quick, "--data", str(dataset), "--split", "val", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    accuracy = read_result(out).rows[0].accuracy
    assert accuracy["split"] == "val" and f"Dice {accuracy['dice_mean']:.3f}" in done.stdout
    assert f"mIoU {accuracy['miou']:.3f} on {accuracy['n_images']} images of parts (val)" in done.stdout
