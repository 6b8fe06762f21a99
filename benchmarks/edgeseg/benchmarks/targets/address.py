"""What a user names a target by: `local`, a URL, or a name of `devices.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from edgeseg.benchmarks.results.price import Price
from edgeseg.runtime.errors import ConfigError, ManifestError
from edgeseg.runtime.spec.fields import Fields, nearest

FILE = "devices.yaml"
# A leading hyphen would be an option to ssh and adb.
_SSH = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][\w.-]*)@)?(?P<host>[A-Za-z0-9_][\w.-]*|\[[\w:.%-]+\])(?::(?P<port>\d{1,5}))?"
)
_ADB = re.compile(r"[A-Za-z0-9][\w.:-]*")
_KNOWN = ("url", "python", "venv", "evidence", "price")


@dataclass(frozen=True)
class Address:
    """One target.

    Attributes:
        name: What the user calls it; results and messages do so too.
        scheme: `local`, `ssh`, `trtexec` (over ssh) or `adb`.
        host: ssh: as ssh takes it, so that the user's own configuration applies. adb: the serial.
        user: ssh: or `None` for what ssh's configuration says.
        port: ssh: likewise.
        python: The device's Python that environments are made with.
        venv: Make an environment of our own there. Without, `python` is used as it is, with all it needs installed.
        evidence: What the user says the numbers are, where they are less than a device's; a board never claims more.
        price: What the device costs.
    """

    name: str
    scheme: str
    host: str = ""
    user: str | None = None
    port: int | None = None
    python: str = "python3"
    venv: bool = True
    evidence: Literal["emulated", "replayed"] | None = None
    price: Price | None = None


def find_address(name: str, folder: Path = Path()) -> Address:
    """The address of `local`, a URL or a name of `devices.yaml` (in `folder`, else in the user's configuration).

    Raises:
        ConfigError: It is none of these, or the file is wrong.
    """
    if name == "local" or "://" in name:
        return _from_url(name, name)
    known = read_devices(folder)
    if name in known:
        return known[name]
    where = devices_file(folder)
    listed = f"{where} has {', '.join(known) or 'no devices'}. {nearest(name, tuple(known))}" if where else f"no {FILE}"
    raise ConfigError(f"--on {name}: no such device: {listed}. Or give local, ssh://user@host or adb://serial")


def devices_file(folder: Path = Path()) -> Path | None:
    """`devices.yaml` of the folder, else of `$XDG_CONFIG_HOME/edgeseg`, else `None`."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return next((path for path in (folder / FILE, config / "edgeseg" / FILE) if path.is_file()), None)


def read_devices(folder: Path = Path()) -> dict[str, Address]:
    """All devices of `devices.yaml` by name; none without the file.

    Raises:
        ConfigError: The file is no YAML, or an entry is wrong.
    """
    path = devices_file(folder)
    if path is None:
        return {}
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path} needs PyYAML to be read: pip install pyyaml, or give URLs to --on") from error
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is no YAML that can be read: {error}") from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: expected one entry per device, such as 'pi5: ssh://pi@raspberrypi.local'")
    return {str(name): _entry(str(name), value, f"{path}: {name}") for name, value in document.items()}


def _entry(name: str, value: Any, where: str) -> Address:
    if isinstance(value, str):
        return _from_url(value, name, where)
    try:
        fields = Fields(value, where, _KNOWN)
        address = _from_url(fields.typed("url", str), name, where)
        evidence, price = fields.optional("evidence", str), fields.optional("price", dict)
        python, venv = fields.default("python", str, "python3"), fields.default("venv", bool, True)
    except ManifestError as error:
        raise ConfigError(str(error)) from error
    if evidence not in (None, "emulated", "replayed"):
        raise ConfigError(f"{where}: evidence is {evidence!r}: write emulated or replayed, or leave it out")
    if python.startswith("-") or not python:
        raise ConfigError(f"{where}: python is {python!r}: name a program, such as python3.11")
    listed = Price.from_values(price, f"{where}: price") if price is not None else None
    return replace(address, python=python, venv=venv, evidence=cast(Any, evidence), price=listed)


def _from_url(url: str, name: str, where: str = "--on") -> Address:
    if url == "local":
        return Address(name, "local")
    scheme, _, rest = url.partition("://")
    if scheme in ("ssh", "trtexec") and (found := _SSH.fullmatch(rest.rstrip("/"))):
        port = int(found["port"]) if found["port"] else None
        if port is None or 0 < port < 65536:
            return Address(name, scheme, found["host"].strip("[]"), found["user"], port)
    if scheme == "adb" and _ADB.fullmatch(rest):
        return Address(name, "adb", rest)
    raise ConfigError(
        f"{where} {url}: give local, ssh://user@host[:port], trtexec://user@host[:port] or adb://serial (as `adb "
        "devices` prints it)"
    )
