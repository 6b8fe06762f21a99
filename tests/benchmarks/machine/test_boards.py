import pytest

from edgeseg.benchmarks.machine.boards import jetpack, power_mode
from edgeseg.benchmarks.machine.environment import read_device

LINE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (LINE, "6.2 (L4T 36.4.3)"),
        (LINE.replace("4.3", "4.7"), "6.2.1 (L4T 36.4.7)"),
        (LINE.replace("R36", "R32").replace("4.3", "7.1"), "4.6.1 or later (L4T 32.7.1)"),
        (LINE.replace("R36", "R35").replace("4.3", "4.1"), "5.1.2 (L4T 35.4.1)"),
        (LINE.replace("R36", "R39").replace("4.3", "2.0"), "7.2 (L4T 39.2.0)"),
        (LINE.replace("R36", "R50").replace("4.3", "1"), "L4T 50.1"),
        ("no release\n", None),
    ],
)
def test_jetpack(tmp_path, line, told):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(line)
    assert jetpack(tmp_path) == told == read_device(tmp_path).jetpack


def test_power_mode_is_a_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power_mode() is None
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\nprintf 'NV Power Mode: MAXN_SUPER\\n2\\n'\n")
    tool.chmod(0o755)
    assert power_mode() == "MAXN_SUPER"
