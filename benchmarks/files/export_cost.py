"""What writing each file of a run's student costs: time and peak memory, each export in a fresh process.

    python benchmarks/files/export_cost.py runs/demo [--processes 3] [--json FILE]

prints Markdown. Each process loads the network and its ranges from the run's steps, writes the file anew into a
temporary folder and reads it back as the chain does; an FP32 file is written by its exporter, every other one from the
run's FP32 file. Time is the processor's, all threads together, so that what else the machine does hardly counts; memory
is the highest that was resident, with the libraries that the export loads. Files that are another variant's, byte for
byte, are not written and not listed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from int8_methods import files_of

from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.memory import peak_memory_mib
from edgeseg.compress.int8.plan import make_plan
from edgeseg.compress.int8.stored_ranges import load_ranges
from edgeseg.export.formats import FORMATS, Origin, write_float, write_quantised
from edgeseg.export.patch import patch_onnx, patch_tflite
from edgeseg.pipeline.plan.exports import EXTREMES
from edgeseg.pipeline.plan.layout import CHOOSE_FINAL, QAT, RANGES
from edgeseg.pipeline.plan.variants import VARIANTS, VariantPlan
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.opening.step_folder import model_in, read_spec
from edgeseg.train.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Export:
    """One file written by one process.

    Attributes:
        cpu_s: Of writing and reading back, all threads together [s].
        wall_s: The same by the clock [s].
        loaded_mib: Highest resident memory before that, with the network loaded; None where the system does not tell.
        peak_mib: Highest resident memory of the process; likewise.
        bytes: Of the file.
        same_as_run: Whether it is the run's own, byte for byte.
    """

    cpu_s: float
    wall_s: float
    loaded_mib: float | None
    peak_mib: float | None
    bytes: int
    same_as_run: bool


def variants_of(root: Path) -> list[VariantPlan]:
    """The variants that a run has written, but for those that are another's file.

    Raises:
        ConfigError: If there is none.
    """
    found = [one for one in VARIANTS if one.same_as is None and _status(root, one.step) == "ok"]
    if not found:
        raise ConfigError(f"{root} holds no exported variant: name the folder of a run, such as runs/demo")
    return found


def export_once(root: Path, variant: VariantPlan, work: Path) -> Export:
    """Write a variant's file in this process.

    Raises:
        ConfigError: If a step that it is made of is not done.
        ExportError: If it cannot be written.
    """
    own = files_of(root, variant.step)
    path = work / f"model{FORMATS[variant.format].suffix}"
    write = _float(root, variant, path) if variant.precision == "fp32" else _lower(root, variant, path)
    loaded, cpu, wall = peak_memory_mib(), time.process_time(), time.perf_counter()
    write()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    same = sha256_file(path) == sha256_file(model_in(own))
    return Export(cpu, wall, loaded, peak_memory_mib(), path.stat().st_size, same)


def _float(root: Path, variant: VariantPlan, path: Path) -> Callable[[], object]:
    model, _ = load_checkpoint(_student(root))
    spec = read_spec(files_of(root, variant.step))
    return lambda: write_float(variant.format, model, path, spec.input, spec.classes, free=spec.dynamic)


def _lower(root: Path, variant: VariantPlan, path: Path) -> Callable[[], object]:
    made_by = EXTREMES if variant.precision != "int8" else QAT if _status(root, QAT) == "ok" else RANGES
    stored = load_ranges(files_of(root, made_by), _student(root), "Finish the run first.")
    files = files_of(root, variant.parent)
    source = model_in(files)
    if stored.is_prepared:
        patched = path.with_name(f"patched{source.suffix}")
        patch = patch_onnx if source.suffix == ".onnx" else patch_tflite
        patch(source, patched, stored.model, stored.network)
        source = patched
    float_paths = () if variant.precision == "fp16" else _float_paths(root)
    plan = make_plan(stored.network, stored.ranges, float_paths)
    origin = Origin(stored.network, plan, source, read_spec(files))
    return lambda: write_quantised(variant.format, origin, path, variant.precision)


def _student(root: Path) -> Path:
    files_of(root, CHOOSE_FINAL)
    return files_of(root, _result(root, CHOOSE_FINAL)["student"])


def _float_paths(root: Path) -> tuple[str, ...]:
    """What the recipe keeps in float, as the run's report has it."""
    report = root / "report.json"
    if not report.is_file():
        raise ConfigError(f"{root} holds no report.json, which says what of the network stays in float: finish the run")
    settings = json.loads(report.read_text(encoding="utf-8"))["recipe"]["settings"]
    return tuple(settings["quantize"]["float_paths"])


def _status(root: Path, step: str) -> str | None:
    return _result(root, step).get("status", "ok") if (root / "steps" / step / "done.json").is_file() else None


def _result(root: Path, step: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "steps" / step / "done.json").read_text(encoding="utf-8"))["result"]
    return found


def in_fresh_process(root: Path, variant: VariantPlan) -> Export:
    """Write a variant's file in a process of its own.

    Raises:
        EdgesegError: If it fails there.
    """
    command = [sys.executable, __file__, str(root), "--once", variant.step]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip() or f"ended by signal {-done.returncode}").splitlines()[-1]
        raise EdgesegError(f"writing {variant.name} failed: {last}")
    return Export(**json.loads(done.stdout.splitlines()[-1]))


HEAD = (
    "| variant | processor [s] | by the clock [s] | peak memory [MiB] | before the export [MiB] | file [kB] |",
    "|---|--:|--:|--:|--:|--:|",
)


def row_of(name: str, exports: Sequence[Export]) -> str:
    """A variant's line of the table: medians over processes, of the time also the lowest and the highest."""
    times = [one.cpu_s for one in exports]
    cells = [
        f"`{name}`" + ("" if all(one.same_as_run for one in exports) else " (not the run's bytes)"),
        f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})",
        f"{statistics.median(one.wall_s for one in exports):.1f}",
        _median_mib([one.peak_mib for one in exports]),
        _median_mib([one.loaded_mib for one in exports]),
        f"{exports[0].bytes / 1e3:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _median_mib(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):,.0f}" if known else "–"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--processes", type=int, default=3, help="fresh processes for each variant (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every process's figures there as well")
    parser.add_argument("--once", metavar="STEP", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.processes < 1:
        parser.error("--processes is at least 1")
    try:
        variants = variants_of(asked.run)
        if asked.once is not None:
            (variant,) = (one for one in variants if one.step == asked.once)
            with tempfile.TemporaryDirectory(prefix="edgeseg-export-") as work:
                print(json.dumps(asdict(export_once(asked.run, variant, Path(work)))))  # noqa: T201
            return 0
        found: dict[str, list[Export]] = {}
        print("\n".join(HEAD))  # noqa: T201
        for one in variants:
            found[one.name] = [in_fresh_process(asked.run, one) for _ in range(asked.processes)]
            print(row_of(one.name, found[one.name]), flush=True)  # noqa: T201
        if asked.json is not None:
            rows = {name: [asdict(one) for one in exports] for name, exports in found.items()}
            about = {"device": read_device().to_json(), "software": read_software()}
            write_json(asked.json, {"variants": rows, **about})
    except EdgesegError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
