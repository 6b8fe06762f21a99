"""How far the files of one network agree: equal mask pixels, variants x variants, over a whole split.

    python benchmarks/files/parity_matrix.py runs/demo [--data DIR] [--split test] [--json FILE]
    python benchmarks/files/parity_matrix.py part.edgeseg --data DIR [--split test] [--json FILE]

prints Markdown. Of a run the masks are those that its scoring steps kept, each made by the variant's own engine through
the Segmenter; with --data those that it has not scored are made here, as all of a bundle are, by the engines that are
here. Pixels whose truth is to be ignored do not
count. A variant that agrees with the FP32 file less than its precision should is marked, with the reason that the run
has recorded: why its gates refuse it, or what `edgeseg doctor int8` found.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.export.mask_agreement import agreements
from edgeseg.export.score_file import score_file
from edgeseg.pipeline.plan.variants import VARIANTS, VariantPlan
from edgeseg.runtime.data.dataset import DataSet, Sample, open_dataset
from edgeseg.runtime.errors import BackendError, ConfigError, EdgesegError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.png import UInt8, encode_mask
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import wrong_without
from edgeseg.runtime.opening.step_folder import SPEC, open_step
from edgeseg.runtime.spec.manifest import ModelSpec, Variant
from edgeseg.runtime.spec.model_spec import Precision
from edgeseg.runtime.trt.built_engine import write_record

# Least share of pixels on which a file should agree with the FP32 file, by its precision.
TARGETS: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.999, "int16x8": 0.99, "dynamic": 0.99, "int8": 0.99}


@dataclass(frozen=True)
class Entry:
    """A variant.

    Attributes:
        name: In the bundle.
        precision: Of its file.
        engine: That made its masks.
        masks: Folder of them; None where there are none, for `reason`.
        reason: Why the run refuses it, or why it has no masks.
        facts: Of its export, as the run has recorded it.
    """

    name: str
    precision: Precision
    engine: str
    masks: Path | None
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Here:
    """Where masks are made that nobody has kept: of a split of a data set, in a folder."""

    data: DataSet
    split: str
    work: Path

    def masks_of(self, name: str, model: Path, spec: ModelSpec) -> Path:
        """Folder of a variant's masks.

        Raises:
            BackendError: If no engine here runs it.
        """
        masks = self.work / name / "masks"
        masks.mkdir(parents=True)

        def keep(sample: Sample, mask: UInt8) -> None:
            (masks / f"{sample.stem}.png").write_bytes(encode_mask(mask))

        score_file(model, spec, self.data, self.data.split(self.split), keep)
        return masks


def entries_of_run(root: Path, split: str, here: Here | None = None) -> list[Entry]:
    """The variants of a run that its recipe asked for.

    Args:
        root: Folder of the run.
        split: That the masks are of.
        here: Where those are made that the run has not scored; None leaves them out.

    Raises:
        ConfigError: If it is no run's folder.
    """
    rows = {row["name"]: row for row in _json(root / "report.json").get("steps", ())}
    doctor = _json(root / "int8_doctor.json").get("verdict", {}).get("sentence")
    done = {one: _json(root / "steps" / one.step / "done.json") for one in VARIANTS}
    found = [_of_step(root, one, split, step, rows.get(one.step, {}), doctor) for one, step in done.items() if step]
    if not found:
        raise ConfigError(f"{root} holds no exported variant: name the folder of a run, such as runs/demo, or a bundle")
    return found if here is None else [_scored_here(root, one, here) for one in found]


def _scored_here(root: Path, entry: Entry, here: Here) -> Entry:
    step = next(one.step for one in VARIANTS if one.name == entry.name)
    files = root / "steps" / step / "files"
    if entry.masks is not None or not (files / SPEC).is_file():
        return entry
    try:
        return replace(entry, masks=here.masks_of(entry.name, *open_step(files)), reason=None)
    except BackendError as err:
        return replace(entry, reason=str(err))


def _of_step(
    root: Path, variant: VariantPlan, split: str, step: Mapping[str, Any], row: Mapping[str, Any], doctor: str | None
) -> Entry:
    exported, masks = step["result"], root / "steps" / f"{split}_{variant.step}" / "files" / "masks"
    reasons = [exported["reason"], row.get("reason"), *(row.get("refused_for") or {}).values()]
    reasons += [f"doctor int8: {doctor}"] if doctor and variant.precision == "int8" else []
    if not masks.is_dir() and not any(reasons):
        reasons = [f"the run holds no masks of it on {split}"]
    facts = {
        "bytes": exported["bytes"],
        "seconds": step["wall_s"],
        "torch_agreement": (exported["parity"] or {}).get("mask_agreement"),
        "torch_frames": (exported["parity"] or {}).get("n_frames"),
        "float": _left_in_float(exported["read_back"] or {}),
    }
    reason = "; ".join(dict.fromkeys(one for one in reasons if one)) or None
    engine = row.get("engine") or variant.engine.name
    return Entry(variant.name, variant.precision, engine, masks if masks.is_dir() else None, reason, facts)


def _left_in_float(read_back: Mapping[str, Any]) -> int | None:
    """Operators or kernels that a file of lower precision keeps in FP32; None where nothing was read back."""
    kept = read_back.get("fp32", read_back.get("n_float"))
    return len(kept) if isinstance(kept, Mapping) else kept


def entries_of_bundle(path: Path, here: Here) -> list[Entry]:
    """The variants of a bundle, each run over a split here.

    Raises:
        EdgesegError: If the bundle or the data cannot be read.
    """
    with Bundle.open(path) as bundle:
        return [_of_variant(bundle, one, here) for one in bundle.variants]


def _of_variant(bundle: Bundle, variant: Variant, here: Here) -> Entry:
    spec, file = variant.spec, here.work / f"{variant.name}{Path(variant.file).suffix}"
    file.write_bytes(bundle.read(variant.file))
    if variant.engine is not None:
        write_record(file, variant.engine)
    plain = Entry(variant.name, spec.precision, spec.backend, None, facts={"bytes": variant.bytes})
    try:
        return replace(plain, masks=here.masks_of(variant.name, file, spec), reason=wrong_without(variant.needs))
    except BackendError as err:
        return replace(plain, reason=str(err))


def matrix_of(entries: Sequence[Entry], split: str) -> dict[str, Any]:
    """Everything that is printed, as a JSON object.

    Args:
        entries: Of one network.
        split: That their masks are of.

    Raises:
        ConfigError: If two have masks of other images, or none is FP32.
    """
    scored = [one for one in entries if one.masks is not None]
    folders = [one.masks for one in scored if one.masks is not None]
    stems = [{path.name for path in folder.glob("*.png")} for folder in folders]
    for one, its in zip(scored, stems, strict=True):
        if its != stems[0] or not its:
            raise ConfigError(
                f"{one.name} has masks of {len(its)} images of {split}, {scored[0].name} of {len(stems[0])}, and they "
                "are not the same images: finish the run first"
            )
    whole = next((index for index, one in enumerate(scored) if one.precision == "fp32"), None)
    if whole is None:
        raise ConfigError(f"no FP32 file has masks on {split} to compare with")
    shares = agreements(folders)
    rows = [_row(one, shares[index], float(shares[index, whole])) for index, one in enumerate(scored)]
    rows += [_row(one, None, None) for one in entries if one.masks is None]
    return {"split": split, "images": len(stems[0]), "reference": scored[whole].name, "variants": rows}


def _row(entry: Entry, shares: np.ndarray | None, share: float | None) -> dict[str, Any]:
    wanted = TARGETS[entry.precision]
    return {
        **{name: value for name, value in asdict(entry).items() if name != "masks"},
        "agreement": None if shares is None else [float(one) for one in shares],
        "with_reference": share,
        "target": wanted,
        "holds": None if share is None else share >= wanted,
    }


def markdown(found: Mapping[str, Any]) -> list[str]:
    """Lines of the matrix, of what was exported, and of what is below its target or not there."""
    scored = [row for row in found["variants"] if row["agreement"] is not None]
    names = [row["name"] for row in scored]
    lines = [
        f"Equal mask pixels [%], {found['split']} split, {found['images']} images; below its target in bold:",
        "",
        f"| | {' | '.join(f'`{name}`' for name in names)} |",
        f"|---|{'--:|' * len(names)}",
    ]
    for row in scored:
        cells = [percent(one) for one in row["agreement"]]
        if not row["holds"]:
            at = names.index(found["reference"])
            cells[at] = f"**{cells[at]}**"
        lines.append(f"| `{row['name']}` | {' | '.join(cells)} |")
    lines += ["", "| variant | engine | precision | target [%] | torch [%] | file [kB] | step [s] | left in FP32 |"]
    lines += ["|---|---|---|--:|--:|--:|--:|--:|"]
    lines += [_facts(row) for row in found["variants"]]
    return lines + _remarks(found)


def _facts(row: Mapping[str, Any]) -> str:
    facts = row["facts"]
    agreed, size, seconds, kept = (facts.get(name) for name in ("torch_agreement", "bytes", "seconds", "float"))
    cells = [
        f"`{row['name']}`",
        row["engine"],
        row["precision"],
        f"{100 * row['target']:g}",
        "–" if agreed is None else f"{percent(agreed)} ({facts['torch_frames']} frames)",
        "–" if size is None else f"{size / 1e3:,.0f}",
        "–" if seconds is None else f"{seconds:.1f}",
        "–" if kept is None else str(kept),
    ]
    return f"| {' | '.join(cells)} |"


def _remarks(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for row in found["variants"]:
        said = f"`{row['name']}`"
        if row["agreement"] is None:
            lines += ["", f"{said} is not in it: {row['reason']}."]
        elif not row["holds"]:
            why = row["reason"] or "no reason is recorded; `edgeseg doctor int8` looks for one"
            share = f"{percent(row['with_reference'])} % of {found['reference']}'s pixels"
            lines += ["", f"{said} is below its target: {share}, {100 * row['target']:g} % are asked: {why}."]
        elif row["reason"]:
            lines += ["", f"{said}: {row['reason']}."]
    return lines


def percent(share: float) -> str:
    """Four digits behind the point, never rounded up to 100."""
    return f"{np.floor(1e6 * share + 1e-6) / 1e4:.4f}"


def _json(path: Path) -> dict[str, Any]:
    """A file of a run, or nothing where there is none."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def main() -> int:
    """Print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", type=Path, metavar="RUN|BUNDLE", help="folder of a run, or a bundle")
    parser.add_argument("--data", type=Path, help="data set that is run over what nobody has scored")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="edgeseg-parity-") as work:
            here = None if asked.data is None else Here(open_dataset(asked.data), asked.split, Path(work))
            if asked.subject.is_dir():
                entries = entries_of_run(asked.subject, asked.split, here)
            elif here is None:
                raise ConfigError(f"{asked.subject} is no run's folder; of a bundle say --data DIR as well")
            else:
                entries = entries_of_bundle(asked.subject, here)
            found = matrix_of(entries, asked.split)
        if asked.json is not None:
            write_json(asked.json, found)
        print("\n".join(markdown(found)))  # noqa: T201
    except EdgesegError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
