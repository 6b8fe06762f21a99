"""How INT8 was made: which ranges, of which network, taken on which images."""

from __future__ import annotations

from edgeseg.benchmarks.report import Markup, join, paragraph
from edgeseg.pipeline.report.fields import Report, Row, mapping


def quantization_section(report: Report) -> Markup:
    """What the steps `ranges` and `student_qat` did."""
    found = mapping(report.get("quantization"))
    if not found or found.get("status", "ok") != "ok":
        return paragraph(str(found.get("reason") or "report.json says nothing of INT8."))
    ranges = f"Ranges by {found['method']}, of the {found['network']} network{_scaled(found)}."
    trained = [paragraph(f"Trained for INT8: {qat['reason']}.")] if (qat := mapping(report.get("qat"))) else []
    return join([paragraph(ranges), paragraph(_images(found)), *trained])


def _scaled(found: Row) -> str:
    done = mapping(found["equalization"])
    if not done:
        return ""
    return f" ({done['channels_scaled']} of {done['channels_in_pairs']} channels between convolutions scaled)"


def _images(found: Row) -> str:
    """On how many images, and how many of them hold each class."""
    own = found["source"] == "folder"
    kind = "images of the folder quantize.folder, without masks" if own else "training images"
    drawn, of = len(found["images"]), found["of"]
    counted = f"{drawn}" if drawn == of else f"{drawn} of {of}"
    by_class = ", ".join(f"{name} {count}" for name, count in mapping(found["images_by_class"]).items())
    return f"Calibrated on {counted} {kind}{f' ({by_class})' if by_class else ''}."
