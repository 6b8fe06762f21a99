"""The wheel that goes to a device: the runtime and the benchmarks of the very code that runs here, nothing else.

Made from the files of the imported packages, so that no build tool is needed and a checkout and an installation are
alike. The same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path

import edgeseg.benchmarks
import edgeseg.runtime
from edgeseg.runtime.errors import ConfigError, MeasureError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = {"__pycache__", ".mypy_cache", ".ruff_cache"}


def make_wheel(folder: Path) -> Path:
    """Write the wheel into `folder`.

    Raises:
        MeasureError: The package is not installed here, so that nothing says what it needs.
    """
    try:
        about = metadata.distribution("edgeseg")
    except metadata.PackageNotFoundError as error:
        raise MeasureError("edgeseg is not installed here: pip install it, or give --wheel FILE") from error
    info = f"edgeseg-{about.version}.dist-info"
    files = {name: path.read_bytes() for name, path in sorted(_sources().items())}
    files[f"{info}/METADATA"] = (about.read_text("METADATA") or "").encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: edgeseg\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{name},sha256={_hash(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = folder / f"edgeseg-{about.version}-py3-none-any.whl"
    wheel.write_bytes(_zipped(files))
    return wheel


def check_wheel(path: Path) -> Path:
    """A wheel that the user gave.

    Raises:
        ConfigError: It is no wheel of edgeseg with the benchmarks in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"--wheel {path} cannot be read as a wheel: {error}") from error
    if path.suffix != ".whl" or "edgeseg/benchmarks/targets/device.py" not in names:
        raise ConfigError(f"--wheel {path} is no wheel of an edgeseg that measures on devices: leave it out")
    return path


def _sources() -> dict[str, Path]:
    found = {}
    for package in (edgeseg.runtime, edgeseg.benchmarks):
        root = Path(package.__path__[0])
        for path in root.rglob("*"):
            if path.is_file() and not _LEFT_OUT & set(path.parts):
                found[f"edgeseg/{root.name}/{path.relative_to(root).as_posix()}"] = path
    return found


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()
