"""The members of the family that the script times; `tests/pipeline/target/test_local.py` measures."""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "networks" / "student_family.py"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("torch", reason="the script makes networks")
    spec = importlib.util.spec_from_file_location("student_family_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_first_of_each_is_what_all_are_held_against(script):
    asked = Namespace(widths=[0.5, 0.25], strides=[2, 8], decoder_widths=[0, 0.25], early=["whole"])
    found = script.members(asked)
    assert len({one.name for one in found}) == len(found) == 8
    assert found[0].name == "width 0.5 stride 2" and found[1].name == "width 0.5 stride 2 decoder 0.25"
    assert found[-1].name == "width 0.25 stride 8 decoder 0.25"


def test_each_member_is_the_network_that_its_name_says(script):
    import torch

    whole = script.Member(0.5, 2, None, "whole").build(1)
    coarse = script.Member(0.5, 8, 0.25, "whole").build(1)
    assert (whole.output_stride, coarse.output_stride) == (2, 8) and coarse.arch["decoder"][0]["out"] == 24
    assert whole.arch["blocks"] == coarse.arch["blocks"]
    changed = {early: script.Member(0.5, 2, None, early).build(1) for early in script.EARLY if early != "whole"}
    for network in changed.values():
        with torch.no_grad():
            assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 3, 32, 32)
        assert network.arch != whole.arch and network.arch["blocks"][-3:] == whole.arch["blocks"][-3:]
    assert changed["half-stem"].arch["stem"] == whole.arch["stem"] // 2
    before, after = (one.arch["blocks"][1][0]["mid"] for one in (whole, changed["half-expansion"]))
    assert after < 0.75 * before
    assert len(changed["no-first-stage"].arch["blocks"]) == len(whole.arch["blocks"]) - 1
