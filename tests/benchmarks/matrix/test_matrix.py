import json
from dataclasses import replace

import onnx
import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.matrix.cells import Cell, cells
from edgeseg.benchmarks.matrix.kept import Kept
from edgeseg.benchmarks.results.result_file import read_result, write_result
from edgeseg.benchmarks.targets.address import find_address
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.errors import ConfigError, MeasureError

QUICK = ("--processes=1", "--seconds=0.02", "--min-samples=8", "--quick")


def bench(*arguments):
    return CliRunner().invoke(app, ["matrix", *map(str, arguments), *QUICK])


@pytest.fixture
def student(make_model, spec):
    folder = make_model("student").parent
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    return folder


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    """Cells of milliseconds, whatever else is asked."""
    from edgeseg.benchmarks.config import HarnessConfig

    tiny = HarnessConfig(blocks=1, seconds=0.02, min_samples=4, warmup_cap_s=0.1, processes=1)
    monkeypatch.setattr("edgeseg.benchmarks.options.quick", lambda _threads: tiny)


def test_every_combination_is_a_row_of_one_table(student, tmp_path):
    out = tmp_path / "cells"
    done = bench(student, "--out", out, "--threads", "1,2", "--size", "32x48,64x64")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["threads", "size", "batch", "variant", "status"]
    assert [line.split()[:5] for line in lines[1:5]] == [
        [threads, size, "1", "student", "ok"] for threads in "12" for size in ("32x48", "64x64")
    ]
    results = {file.name[: file.name.rindex("-")]: read_result(file) for file in (out / "local").iterdir()}
    assert set(results) == {f"threads{n}-{size}-batch1" for n in (1, 2) for size in ("32x48", "64x64")}
    found = results["threads2-32x48-batch1"]
    assert (found.config.threads, found.frame.shape) == (2, (32, 48))


def test_the_same_command_measures_only_what_is_missing(student, tmp_path, monkeypatch):
    out, asked = tmp_path / "cells", []
    from edgeseg.benchmarks.matrix import run

    plain = run.run_on

    def counted(addresses, job, wishes, progress):
        asked.append(job.config.threads)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return plain(addresses, job, wishes, progress)

    monkeypatch.setattr(run, "run_on", counted)
    bench(student, "--out", out, "--threads", "1,2,3")  # stopped in its second cell
    first = {file: file.read_bytes() for file in (out / "local").iterdir()}
    assert len(first) == 1
    done = bench(student, "--out", out, "--threads", "1,2,3")
    assert done.exit_code == 0 and asked == [1, 2, 2, 3], done.output
    assert all(file.read_bytes() == content for file, content in first.items())
    assert [line.split()[0] for line in done.stdout.splitlines()[1:4]] == ["1", "2", "3"]
    model = student / "model.onnx"
    changed = onnx.load(model)
    changed.producer_name = "another"
    onnx.save(changed, model)
    bench(student, "--out", out, "--threads", "1")  # of another file there is no result
    assert asked[4:] == [1]


def test_a_kept_result_stands_for_its_machine_and_its_software_alone(student, tmp_path):
    out = tmp_path / "cells"
    bench(student, "--out", out, "--threads", "1")
    (file,) = (out / "local").iterdir()
    own = read_result(file)
    for other, reason in (
        ({"device": {**own.device, "cpu_model": "Cortex-A76"}}, "cpu_model: Cortex-A76, now "),
        ({"software": {**own.software, "onnxruntime": "1.2.3"}}, "onnxruntime: 1.2.3, now "),
        ({"evidence": "replayed"}, "evidence: replayed, now device"),
    ):
        write_result(replace(own, **other), file)
        done = bench(student, "--out", out, "--threads", "1")
        assert done.exit_code == 0 and reason in done.stdout, done.output
        assert "1 own 1: measured again, the kept result does not stand: it was measured elsewhere" in done.stdout
        found = read_result(file)
        assert (found.device, found.software, found.evidence) == (own.device, own.software, own.evidence)
    again = file.read_bytes()
    assert "measured again" not in bench(student, "--out", out, "--threads", "1").stdout
    assert file.read_bytes() == again


@pytest.mark.parametrize("status", ["unsupported", "failed"])
def test_what_could_not_run_is_tried_again(student, tmp_path, status):
    out = tmp_path / "cells"
    bench(student, "--out", out, "--threads", "1")
    (file,) = (out / "local").iterdir()
    result = read_result(file)
    lost = replace(result.rows[0], status=status, reason="the engine is not installed", processes=(), cold=None)
    write_result(replace(result, rows=(lost,)), file)
    done = bench(student, "--out", out, "--threads", "1")
    assert done.exit_code == 0 and f"does not stand: student was {status}" in done.stdout, done.output
    assert read_result(file).rows[0].measured


def test_exit_code_1_where_nothing_could_run(student, tmp_path, monkeypatch):
    """As of `bench run`."""
    from edgeseg.benchmarks.matrix import run

    plain = run.run_on

    def unsupported(addresses, job, wishes, progress):
        ((name, result),) = plain(addresses, job, wishes, progress).items()
        rows = [replace(row, status="unsupported", reason="none", processes=(), cold=None) for row in result.rows]
        return {name: replace(result, rows=tuple(rows))}

    monkeypatch.setattr(run, "run_on", unsupported)
    assert bench(student, "--out", tmp_path / "cells", "--threads", "1").exit_code == 1


def test_a_target_that_cannot_be_asked_costs_its_own(student, tmp_path):
    """Whether what was kept is of that device cannot be told then."""

    def away(address, _wishes):
        raise MeasureError(f"{address.name} is away")

    bench(student, "--out", tmp_path / "cells", "--threads", "1")
    (file,) = (tmp_path / "cells/local").iterdir()
    with pytest.raises(MeasureError, match="local is away"):
        Kept(Wishes(), away).look(find_address("local"), file)


def test_what_cannot_run_is_a_row(make_model, tmp_path):
    model = make_model("net")
    done = bench(model, "--out", tmp_path / "o", "--threads", "1", "--size", "32x48", "--batch", "1,2")
    assert done.exit_code == 0, done.output
    assert "1x32x48x1" not in done.stdout  # the table alone
    fixed = onnx.load(model)
    fixed.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 64
    onnx.save(fixed, model)
    done = bench(model, "--out", tmp_path / "o", "--threads", "1", "--size", "32x48,64x48")
    assert done.exit_code == 1
    rows = [line.split()[:5] for line in done.stdout.splitlines()[1:3]]
    assert rows == [["1", "32x48", "1", "-", "failed"], ["1", "64x48", "1", "model.onnx", "ok"]], done.output
    assert "1 32x48 1: failed: --size says 32x48, but model.onnx takes" in done.stdout


def test_frames_go_one_by_one(student, tmp_path):
    done = bench(student, "--out", tmp_path / "o", "--threads", "1", "--batch", "2", "--csv")
    assert done.exit_code == 1 and not done.stdout.strip()
    done = bench(student, "--out", tmp_path / "o", "--threads", "1", "--batch", "2")
    assert "a pipeline takes one frame at a time: --engine-only" in done.stdout


def test_csv_has_the_cell_in_front(student, tmp_path):
    done = bench(student, "--out", tmp_path / "o", "--threads", "1", "--csv")
    head, row = done.stdout.strip().splitlines()
    assert head.startswith("target,size,batch,variant,status") and row.startswith("local,own,1,student,ok")


def test_lists():
    assert cells("1,2", "", "1") == (Cell(1), Cell(2))
    assert cells("1, 1", "8x8", "2") == (Cell(1, "8x8", 2),)
    for wrong in (("0", "", "1"), ("1,x", "", "1"), ("1", "8", "1"), ("1", "", "")):
        with pytest.raises(ConfigError):
            cells(*wrong)
