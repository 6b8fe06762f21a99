"""The HTML kit: pages in one file, without network, good on a phone, on a desk and on paper.

Whatever goes in is escaped; only what the kit itself returns (`Markup`) is taken as HTML.
"""

from edgeseg.benchmarks.report.lines import Series, line_svg
from edgeseg.benchmarks.report.markup import Markup, escape, join
from edgeseg.benchmarks.report.page import page
from edgeseg.benchmarks.report.parts import (
    badge,
    code,
    details,
    facts,
    figure,
    heading,
    items,
    notice,
    paragraph,
    side_by_side,
    verdict,
)
from edgeseg.benchmarks.report.pictures import Picture, pictures
from edgeseg.benchmarks.report.scatter import Point, scatter_svg
from edgeseg.benchmarks.report.tables import Column, TreeRow, table, tree_table

__all__ = [
    "Column",
    "Markup",
    "Picture",
    "Point",
    "Series",
    "TreeRow",
    "badge",
    "code",
    "details",
    "escape",
    "facts",
    "figure",
    "heading",
    "items",
    "join",
    "line_svg",
    "notice",
    "page",
    "paragraph",
    "pictures",
    "scatter_svg",
    "side_by_side",
    "table",
    "tree_table",
    "verdict",
]
