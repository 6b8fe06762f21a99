"""Fixtures every test folder shares: where the real data sets are, and one small synthetic data set a session."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

import edgeseg.runtime  # noqa: F401  switches telemetry off before a test imports an engine

# A busy machine must not fail a test: nothing here asserts a time.
# A gate must not depend on what is drawn: on the server the examples are the same each time.
settings.register_profile("edgeseg", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("edgeseg")

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many workers as cores already: more threads only get in the way

# What cuBLAS needs to be deterministic; it is read once.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# Measurements of tests and trainings of whoever else is at work here must not wait for one another.
os.environ["EDGESEG_TURNS"] = str(Path(tempfile.gettempdir()) / f"edgeseg-turns-tests-{os.getpid()}")

REPOSITORY = Path(__file__).resolve().parents[1]


def real_data_root() -> Path:
    """The folder of the real data sets; it need not exist."""
    return Path(os.environ.get("EDGESEG_DATA") or REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give the folder of a real data set by name, or skip the test with the reason."""

    def find(name: str) -> Path:
        folder = real_data_root() / name
        if not (folder / "dataset.yaml").is_file():
            pytest.skip(
                f"real data set {name} is not in {real_data_root()}; set EDGESEG_DATA to the folder that has it"
            )
        return folder

    return find


@pytest.fixture(scope="session")
def ultrasound_dir(real_data: Callable[[str], Path]) -> Path:
    """usgra_nerve_vessel: 244 ultrasound images, 3 classes."""
    return real_data("usgra_nerve_vessel")


@pytest.fixture(scope="session")
def pitting_dir(real_data: Callable[[str], Path]) -> Path:
    """bsdata_pitting: 604 ball-screw images, tiny defects on large frames, 2 classes."""
    return real_data("bsdata_pitting")


@pytest.fixture(scope="session")
def synthetic_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small synthetic data set: 24 gray frames of 96x96, 4 classes. Read only."""
    from edgeseg.train.synthetic.dataset import write_dataset

    root = tmp_path_factory.mktemp("synthetic") / "metal"
    write_dataset(root, n=24, seed=0, size_px=96)
    return root


@pytest.fixture
def synthetic_data(synthetic_dir: Path):
    """The same, opened."""
    from edgeseg.runtime.data.dataset import open_dataset

    return open_dataset(synthetic_dir)
