"""The published weights: the pinned files, and what is said where one is missing or another one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.pretrained.published import PUBLISHED, nearest_published, published_file


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_installed_file_is_the_published_one_and_its_package_is_not_run(name: str) -> None:
    published = PUBLISHED[name]
    sys.modules.pop(published.package, None)
    assert published_file(published).name.startswith(f"efficientnet-{name}-{published.sha256[:8]}")
    assert published.package not in sys.modules


def _package(root: Path, name: str, content: bytes | None) -> None:
    published = PUBLISHED[name]
    folder = root / published.package
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('the package was run')\n")
    if content is not None:
        (folder / published.file).write_bytes(content)


@pytest.mark.parametrize(
    ("content", "says"), [(b"tampered", "has SHA-256 .* was published; it is not read"), (None, "is missing")]
)
def test_another_file_is_refused_unread(
    content: bytes | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "lite0", content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=says):
        published_file(PUBLISHED["lite0"])


def test_without_the_extra_both_ways_on_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ConfigError, match=r"lite2 are not installed") as told:
        published_file(PUBLISHED["lite2"])
    assert "pip install 'edgeseg[weights]'" in str(told.value)
    assert "--set student.init=none --set teacher.encoder=none" in str(told.value)


@pytest.mark.parametrize(
    ("width", "depth", "name"),
    [(0.5, 1.0, "lite0"), (1.0, 1.0, "lite0"), (1.0, 1.1, "lite1"), (1.1, 1.0, "lite2"), (0.5, 3.0, "lite2")],
)
def test_the_nearest(width: float, depth: float, name: str) -> None:
    assert nearest_published(width, depth).name == name


def test_no_published_weights_are_as_wide() -> None:
    with pytest.raises(ConfigError, match=r"student.width is 1.5, .* at most 1.1 wide"):
        nearest_published(1.5, 1.0)
