"""A run's report as one HTML file: what ships and what it cost, with all the evidence below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.benchmarks.report import Markup, heading, join, page, paragraph, side_by_side, verdict
from edgeseg.pipeline.learned.told import warnings_box
from edgeseg.pipeline.report.fields import Report, class_names, dig, moment
from edgeseg.pipeline.report.operating_point import operating_point_panel
from edgeseg.pipeline.report.panels import Panel, panels_section
from edgeseg.pipeline.report.plots import accuracy_plots, training_plots
from edgeseg.pipeline.report.quantization import quantization_section
from edgeseg.pipeline.report.record import (
    choices,
    data_table,
    measuring_notes,
    refused_table,
    reproduction,
    time_table,
)
from edgeseg.pipeline.report.search import search_section
from edgeseg.pipeline.report.tables import accuracy_table, cost_table, decisions_table, steps_table
from edgeseg.pipeline.report.teaching import teaching
from edgeseg.pipeline.report.verdict import read_verdict
from edgeseg.runtime.files.atomic import write_text

__all__ = ["Panel", "render_report"]

_NO_IMAGES = "Left out: the run was asked for a report without images (--no-images), or had none to show."


def render_report(report: Report, panels: Sequence[Panel], path: Path, no_images: str | None = None) -> None:
    """Write the report of a run.

    The file needs nothing beside it and fetches nothing. A value that is missing is a dash.

    Args:
        report: Content of report.json.
        panels: Test images to show, the worst among them. None is shown where the data set may not be redistributed.
        path: The HTML file to write.
        no_images: Why there are no panels; the default names --no-images.

    Raises:
        EdgesegError: The file cannot be written.
    """
    found = read_verdict(report)
    recipe = dig(report, "recipe", "name") or "unnamed"
    body: list[Markup | str | int | float | bool | None] = [
        warnings_box(report.get("warnings")),
        verdict(found.sentence, found.tone, found.detail),
    ]
    for title, content in _sections(report, panels, no_images):
        body += [heading(title), content]
    write_text(path, page(f"edgeseg: {recipe}", body, subtitle=_subtitle(report)))


def _sections(report: Report, panels: Sequence[Panel], no_images: str | None) -> list[tuple[str, Markup]]:
    search = report.get("search")  # which runs without a budget, and recorded ones, do not have
    return [
        ("The steps", steps_table(report)),
        ("Accuracy against cost", accuracy_plots(report)),
        ("What was refused", refused_table(report)),
        ("What it sees", _images(report, panels, no_images)),
        (
            "What was decided, on val",
            join([choices(report), decisions_table(report), operating_point_panel(report.get("operating_point"))]),
        ),
        *([("The search for the budget", search_section(search))] if search else []),
        ("How INT8 was made", quantization_section(report)),
        ("Accuracy in detail", accuracy_table(report)),
        ("Cost in detail", join([cost_table(report), measuring_notes(report)])),
        ("Training", join([training_plots(report), teaching(report)])),
        ("Data and time", side_by_side(data_table(report), time_table(report))),
        ("How to get this again", reproduction(report)),
    ]


def _images(report: Report, panels: Sequence[Panel], no_images: str | None) -> Markup:
    # Asked once more here: whoever calls with panels by mistake must not publish pictures.
    if dig(report, "data", "may_redistribute") is not True:
        licence = dig(report, "data", "licence") or "not stated"
        return paragraph(
            "Left out: dataset.yaml does not allow these images to be passed on "
            f"(may_redistribute is not true; licence: {licence})."
        )
    if not panels:
        return paragraph(no_images or _NO_IMAGES)
    variant = dig(report, "shipped", "variant") or dig(report, "shipped", "step")
    return panels_section(panels, class_names(report), f"{variant}, ships" if variant else "student, nothing ships")


def _subtitle(report: Report) -> str:
    use = dig(report, "recipe", "settings", "intended_use")
    version, commit = report.get("edgeseg_version"), report.get("git_commit")
    parts = [
        str(report.get("command") or ""),
        moment(report.get("created")) or "",
        f"edgeseg {version}" if version else "",
        f"commit {str(commit)[:10]}" if commit else "",
        f"intended use: {use}" if use else "",
    ]
    return " · ".join(part for part in parts if part)
