import dataclasses

import pytest

from edgeseg.benchmarks.compare import compare_results, compare_rows, judge
from edgeseg.benchmarks.speedup import Ratio
from edgeseg.runtime.errors import MeasureError


@pytest.mark.parametrize(
    ("lo95", "hi95", "same_run", "floor", "verdict"),
    [
        (1.2, 1.4, True, 0.0, "faster"),
        (0.7, 0.8, True, 0.0, "slower"),
        (0.95, 1.1, True, 0.0, "no difference shown"),
        (1.001, 1.02, True, 0.0, "faster"),
        (1.2, 1.4, False, 0.05, "faster"),
        (0.7, 0.8, False, 0.05, "slower"),
        (1.01, 1.04, False, 0.05, "inconclusive"),
        (1.01, 1.40, False, 0.05, "inconclusive"),  # the near end does not clear the floor
        (0.96, 1.02, False, 0.05, "inconclusive"),
        (1.2, 1.4, False, 0.5, "inconclusive"),
    ],
)
def test_verdicts(lo95, hi95, same_run, floor, verdict):
    assert judge(Ratio((lo95 * hi95) ** 0.5, lo95, hi95, 5, 40), same_run, floor)[0] == verdict


def test_too_few_processes_are_inconclusive():
    verdict, reason = judge(Ratio(2.0, 1.9, 2.1, 4, 32), True, 0.0)
    assert verdict == "inconclusive" and "4 processes" in reason
    assert judge(Ratio(2.0, None, None, 1, 8), True, 0.0)[0] == "inconclusive"


@pytest.fixture
def one_run(make_result, make_row, noisy):
    return make_result(
        make_row("slow", noisy(8.0, 1)),
        make_row("fast", noisy(4.0, 2)),
        make_row("none", [], status="failed", reason="x"),
    )


def test_two_rows_of_one_run(one_run):
    found = compare_rows(one_run, "slow", "fast")
    assert found.verdict == "faster" and found.ratio == pytest.approx(2, rel=0.05) and found.same_run
    assert compare_rows(one_run, "fast", "slow").verdict == "slower"
    assert compare_rows(one_run, "slow", "slow").verdict == "no difference shown"
    assert found.to_json()["notes"] == []


def test_a_row_without_samples_is_named(one_run):
    with pytest.raises(MeasureError, match=r"none has no samples: it is failed \(x\)"):
        compare_rows(one_run, "slow", "none")


def test_two_files_of_the_same_thing_are_inconclusive(make_result, make_row, noisy):
    first = make_result(make_row("a", noisy(4.0, 1)))
    second = make_result(make_row("a", noisy(4.06, 2)))
    (found,) = compare_results(first, second)
    assert found.verdict == "inconclusive" and not found.same_run and found.floor >= 0.05


def test_two_files_with_a_plain_difference(make_result, make_row, noisy):
    first = make_result(make_row("a", noisy(4.0, 1)), make_row("b", noisy(4.0, 3)))
    second = make_result(make_row("a", noisy(2.0, 2)), make_row("c", noisy(4.0, 4)))
    (found,) = compare_results(first, second)
    assert (found.a, found.verdict) == ("a", "faster")
    (named,) = compare_results(second, first, a="a", b="b")
    assert named.verdict == "slower"


def test_the_floor_is_at_least_what_the_processes_of_a_file_differ_by(make_result, make_row, noisy):
    restless = make_result(make_row("a", noisy(4.0, 1, between=0.2)))
    calm = make_result(make_row("a", noisy(3.4, 2)))
    (found,) = compare_results(restless, calm)
    assert found.floor > 0.1 and found.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda r: dataclasses.replace(r, device={**r.device, "cpu_model": "Cortex-A76"}),
            "different machines.*Cortex-A76",
        ),
        (
            lambda r: dataclasses.replace(r, device={**r.device, "governor": "powersave"}),
            "different machines.*governor",
        ),
        (lambda r: dataclasses.replace(r, frame=dataclasses.replace(r.frame, sha256="ee" * 32)), "different frames"),
        (lambda r: dataclasses.replace(r, config=dataclasses.replace(r.config, threads=4)), "threads"),
        (lambda r: dataclasses.replace(r, evidence="replayed"), "replayed"),
    ],
)
def test_unlike_files_are_refused_with_the_reason(one_run, change, reason):
    with pytest.raises(MeasureError, match=reason):
        compare_results(one_run, change(one_run))


def test_of_times_that_mean_nothing_nothing_is_said(one_run):
    emulated, replayed = (dataclasses.replace(one_run, evidence=one) for one in ("emulated", "replayed"))
    names = [row.name for row in one_run.rows][:2]
    for compare in (lambda: compare_rows(emulated, *names), lambda: compare_results(emulated, emulated)):
        with pytest.raises(MeasureError, match="measured in an emulator"):
            compare()
    for found in (compare_rows(replayed, *names), compare_results(replayed, replayed)[0]):
        assert "evidence replayed: a recording of a device, read again" in found.notes
    assert not any("evidence" in note for note in compare_rows(one_run, *names).notes)


def test_what_else_differs_is_noted(one_run):
    other = dataclasses.replace(one_run, software={**one_run.software, "onnxruntime": "9.9"})
    notes = compare_results(one_run, other)[0].notes
    assert any(note.startswith("onnxruntime: ") and note.endswith(" and 9.9") for note in notes)


def test_files_without_a_common_row(make_result, make_row, noisy):
    first, second = make_result(make_row("a", noisy(4, 1))), make_result(make_row("b", noisy(4, 2)))
    with pytest.raises(MeasureError, match="--a and --b"):
        compare_results(first, second)
