"""`edgeseg build`: its options, what it prints, its exit codes."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from edgeseg.export.trt.modules import INSTALL, RTX
from edgeseg.pipeline import cli
from edgeseg.runtime.engines import installed_package

from ...runtime.conftest import tiny_bundle, tiny_onnx  # noqa: F401  fixtures


def build(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["build", *map(str, arguments)])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--variant", "trt-int8"], 2, "trt-int8 is built from the variant onnx-int8, which this bundle does not have"),
        (["--variant", "trt-fp32", "--size", "64"], 2, "--size is '64'; give height and width such as 256x320"),
        (["--variant", "trt-fp32", "--workspace", "99999999999999"], 2, "Invalid value for '--workspace'"),
        (["--variant", "trt-fp32", "--hardware", "all"], 2, "--hardware all is none of none, ampere, same"),
    ],
)
def test_a_wrong_option_is_a_usage_error(tiny_bundle, tmp_path, options, code, message) -> None:  # noqa: F811
    done = build(tiny_bundle, "--out", tmp_path / "out", *options)
    assert done.exit_code == code and message in " ".join(done.stderr.split())


@pytest.mark.skipif(installed_package(RTX) is None, reason=f"no TensorRT for RTX here: {INSTALL}")
def test_an_engine_a_capability_and_a_line_each(tiny_bundle, tmp_path) -> None:  # noqa: F811
    done = build(
        tiny_bundle, "--variant", "trt-fp32", "--out", tmp_path, "--capability", "sm86", "--capability", "SM89"
    )
    assert done.exit_code == 0, done.stderr
    assert "trt-fp32.sm86.engine" in done.stdout and "trt-fp32.sm89.engine" in done.stdout
    assert "built: parsed and compiled by a real TensorRT compiler, never run" in done.stdout
    assert len(list(tmp_path.glob("*.engine"))) == 2


def test_a_capability_nobody_has_is_named(tiny_bundle, tmp_path) -> None:  # noqa: F811
    done = build(tiny_bundle, "--variant", "trt-fp32", "--out", tmp_path, "--capability", "sm999")
    installed = installed_package(RTX) is not None
    assert done.exit_code == (2 if installed else 1)
    assert ("--capability sm999 is none that" if installed else "No TensorRT is installed") in done.stderr
