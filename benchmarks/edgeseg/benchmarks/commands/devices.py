"""`bench devices`: what can be reached, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.targets import open_target
from edgeseg.benchmarks.targets.adb.client import connected
from edgeseg.benchmarks.targets.address import Address, find_address, read_devices
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.text.terminal import put, put_json, say


def devices(
    *,
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this: local, ssh://user@host, adb://serial or a name of devices.yaml; may be repeated."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what can be reached, and what each says of itself: board, system, power mode, engines tried, sensors.

    Without --on: this machine, the devices of devices.yaml, and the phones that adb is connected to.
    """
    with errors():
        found = {one.name: _described(one) for one in _asked(on)}
        if as_json:
            put_json(found, indent=None)
        else:
            put("\n".join(_text(name, told) for name, told in found.items()))
        if on and any("error" in told for told in found.values()):
            raise typer.Exit(1)


def _asked(on: list[str] | None) -> list[Address]:
    if on:
        return [find_address(name) for name in dict.fromkeys(on)]
    listed = list(read_devices().values())
    known = {one.host for one in listed if one.scheme == "adb"}
    phones = [find_address(f"adb://{serial}") for serial in connected() if serial not in known]
    return [find_address("local"), *listed, *phones]


def _described(address: Address) -> dict[str, Any]:
    say(f"asking {address.name}")
    try:
        with open_target(address) as target:
            return target.describe()
    except EdgesegError as error:
        return {"error": str(error)}


def _text(name: str, told: Mapping[str, Any]) -> str:
    if "error" in told:
        return f"{name}\n  not reached: {told['error']}\n"
    device, lines = told["device"], [name]
    for label, key in (
        ("board", "name"),
        ("SoC", "soc"),
        ("OS", "os"),
        ("JetPack", "jetpack"),
        ("processor", "cpu_model"),
        ("architecture", "arch"),
        ("cores", "usable_cpus"),
        ("memory MiB", "memory_mib"),
        ("power mode", "power_mode"),
        ("governor", "governor"),
        ("clocks locked", "clocks_locked"),
    ):
        if device.get(key) is not None:
            lines.append(f"  {label:14} {device[key]}")
    lines += [f"  {'Python':14} {told['software']['python']}"] if "python" in told["software"] else []
    lines += [f"  {engine:14} {_engine(row)}" for engine, row in told["engines"].items()]
    lines += [f"  {'power sensor':14} {sensor}" for sensor in told["sensors"]]
    lines += [f"  {'numbers are':14} {told['evidence']}, not a device's"] if told["evidence"] != "device" else []
    return "\n".join(lines) + "\n"


def _engine(row: Mapping[str, Any]) -> str:
    runs = f"{row['version'] or ''} runs {', '.join(row['runs'])}".strip() if row["runs"] else "does not run"
    return f"{runs}; {row['reason']}" if row["reason"] else runs
