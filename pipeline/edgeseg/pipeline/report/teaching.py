"""What a report says of a teacher that is more than one network's plain answer."""

from __future__ import annotations

from edgeseg.benchmarks.report import Markup, join, paragraph
from edgeseg.pipeline.report.fields import Report


def teaching(report: Report) -> Markup:
    """How many networks teach, how they are asked, and what became of their answers; nothing of a plain teacher."""
    asked = report.get("asked")
    if not asked:
        return join([])
    flips = f", each also about the image mirrored ({', '.join(asked['flips'])})" if asked["flips"] else ""
    count = asked["members"]
    networks = "one network is asked" if count == 1 else f"{count} networks are asked; the row teacher is the first"
    if asked["file_sha256"]:
        named = "the file that distill.teacher names"
        if asked.get("function") is not None:
            named = f"the network of distill.teacher {asked['function']}"
        networks = f"{named} is asked, not the row teacher (SHA-256 {asked['file_sha256'][:12]})"
    found = [f"What the distilled student follows: {networks}{flips}.", f"Dice {asked['val_dice']:.3f} on val (torch)."]
    if any(one != 1.0 for one in asked["temperatures"]):
        values = ", ".join(f"{one:.2f}" for one in asked["temperatures"])
        found.append(f"Temperature fitted on val: {values}; above 1 a network was surer than it was right.")
    return paragraph(" ".join(found))
