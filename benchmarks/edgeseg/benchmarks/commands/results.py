"""Results on stdout and in files: one target's as it is, several one after the other, each under its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import read_result, to_json, write_result
from edgeseg.benchmarks.results.table import to_csv, to_text
from edgeseg.runtime.errors import ConfigError, EdgesegError, MeasureError
from edgeseg.runtime.files.atomic import refuse_device_or_pipe
from edgeseg.runtime.text.terminal import put, put_json, say


@dataclass(frozen=True)
class Output:
    """Where results go.

    Attributes:
        out: A JSON file; of several targets a folder, with one file each.
        as_json: JSON on stdout: the result, or one object of all targets' by name.
        as_csv: CSV on stdout; of several targets one table after the other.
        overwrite: Replace a file that is no result.
    """

    out: Path | None = None
    as_json: bool = False
    as_csv: bool = False
    overwrite: bool = False

    def check(self, inputs: tuple[Path | None, ...], names: tuple[str, ...]) -> None:
        """Refuse, before anything is measured, what could not be written at the end.

        Raises:
            ConfigError: A file is there that is not ours to replace, or the options contradict each other.
        """
        if self.as_json and self.as_csv:
            raise ConfigError("--json and --csv exclude each other: choose one, and --out FILE.json beside it")
        if self.out is None:
            return
        if len(names) == 1 and self.out.is_dir():
            raise ConfigError(f"--out {self.out} is a folder: name a file in it")
        if len(names) > 1 and self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"--out {self.out} is a file: of several targets results go to a folder, one file each")
        files = [self.file(name, len(names)) for name in names]
        twice = next((file for file in files if files.count(file) > 1), None)
        if twice is not None:
            both = ", ".join(name for name, file in zip(names, files, strict=True) if file == twice)
            raise ConfigError(f"the results of {both} would all be {twice}: give them other names in devices.yaml")
        for name in names:
            _check_file(self.file(name, len(names)), inputs, overwrite=self.overwrite)

    def file(self, name: str, n: int) -> Path:
        """The file of one of `n` targets."""
        assert self.out is not None
        return self.out if n == 1 else self.out / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.json"

    def show(self, found: Mapping[str, BenchResult | EdgesegError]) -> None:
        """Write and print what was found; a target that has no result is told at the end.

        Raises:
            typer.Exit: With 1 if a variant failed, none could run, or a target has no result.
            EdgesegError: A file cannot be written, or the only target has no result.
        """
        results = {name: one for name, one in found.items() if isinstance(one, BenchResult)}
        faults = {name: one for name, one in found.items() if isinstance(one, EdgesegError)}
        try:
            for name, result in results.items() if self.out is not None else ():
                write_result(result, self.file(name, len(found)))
        finally:  # a full disk does not cost the numbers
            self._print(results, alone=len(found) == 1)
        for fault in faults.values():
            if len(found) == 1:
                raise fault
            say(f"error: {fault}")
        if faults or any(map(is_bad, results.values())):
            raise typer.Exit(1)

    def _print(self, results: Mapping[str, BenchResult], *, alone: bool) -> None:
        if self.as_json:
            documents = {name: to_json(result) for name, result in results.items()}
            for document in documents.values() if alone else [documents]:
                put_json(document, indent=None)
            return
        for name, result in results.items():
            text = (to_csv(result) if self.as_csv else to_text(result)).removesuffix("\n")
            put(text if alone else f"{name}\n{text}\n")


def is_bad(result: BenchResult) -> bool:
    """Whether a variant failed, or none could run."""
    return any(row.status == "failed" for row in result.rows) or not any(row.measured for row in result.rows)


def _check_file(out: Path, inputs: tuple[Path | None, ...], *, overwrite: bool) -> None:
    refuse_device_or_pipe(out)
    if not out.exists():
        return
    if any(one is not None and one.exists() and one.samefile(out) for one in inputs):
        raise ConfigError(f"--out {out} would replace what is measured: name another file")
    try:
        read_result(out)
    except MeasureError as error:
        if not overwrite:
            raise ConfigError(
                f"--out {out} exists and is no bench result: name another file, or say --overwrite"
            ) from error
