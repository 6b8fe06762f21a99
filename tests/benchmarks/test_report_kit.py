import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.benchmarks.report import (
    Column,
    Markup,
    Picture,
    Point,
    Series,
    TreeRow,
    badge,
    code,
    details,
    escape,
    facts,
    figure,
    heading,
    items,
    join,
    line_svg,
    page,
    paragraph,
    pictures,
    scatter_svg,
    side_by_side,
    table,
    tree_table,
    verdict,
)
from edgeseg.benchmarks.report.axis import fit_axis, linear_ticks, log_ticks, tick_text
from edgeseg.benchmarks.report.canvas import COLORS

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "br", "link"}
PNG = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order; notes tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def whole_page() -> str:
    points = [Point(1.0, 0.5, EVIL, EVIL, 0.4, 0.6, True), Point(50, 0.7, "b", "g")]
    return page(
        EVIL,
        [
            verdict(EVIL, "good", EVIL),
            heading(EVIL),
            paragraph(EVIL, badge("ok")),
            items([EVIL, 1, None]),
            facts({EVIL: EVIL, "n": 3}),
            code(EVIL),
            details(EVIL, EVIL),
            table([Column(EVIL, True, EVIL), "b"], [[EVIL, None], [1.5, True]], EVIL),
            tree_table(["a", "b"], [TreeRow(EVIL, None, [EVIL], "bad"), TreeRow("x", EVIL, [badge(EVIL)])], EVIL),
            side_by_side(figure(scatter_svg(points, EVIL, EVIL, log_x=True), EVIL)),
            figure(line_svg([Series(EVIL, [1, 2], [1.0, None])], EVIL, EVIL), EVIL),
            pictures(EVIL, [Picture(PNG, EVIL)], EVIL),
            EVIL,
        ],
        EVIL,
        EVIL,
    )


def test_whatever_goes_in_comes_out_as_text():
    text = whole_page()
    assert "<script" not in text and "alert(&#x27;x&#x27;)" in text
    parsed = Balanced(text)
    assert "script" not in [tag for tag, _ in parsed.tags]
    assert not any(name.startswith("on") for _, attrs in parsed.tags for name in attrs)


def test_a_page_is_one_file_that_fetches_nothing():
    text = whole_page()
    assert text.startswith("<!doctype html>") and "default-src 'none'" in text
    outside = [v for _, a in Balanced(text).tags for n, v in a.items() if n in ("src", "href")]
    assert all(value.startswith("data:image/png;base64,") for value in outside)
    assert "://" not in text and "@import" not in text and "url(" not in text
    assert 'name="viewport" content="width=device-width' in text and "@media print" in text


@given(st.text())
def test_escaping_any_text(text):
    found = escape(text)
    assert "<" not in found and '"' not in found and "\x00" not in found


def test_values():
    assert escape(Markup("<b>x</b>")) == "<b>x</b>"
    assert escape(None) == escape(float("nan")) == escape(float("inf")) and "–" in escape(None)
    assert (escape(True), escape(3), escape(0.123456)) == ("yes", "3", "0.1235")
    assert join(["<", Markup("<br>")], " ") == "&lt; <br>"


def test_a_tree_puts_children_under_their_parents_in_the_order_given():
    rows = [("int8", "fp32"), ("teacher", None), ("fp32", "student"), ("student", "teacher"), ("alone", "teacher")]
    text = tree_table(["name"], [TreeRow(name, parent, []) for name, parent in rows])
    found = re.findall(r"--depth:(\d)\">(?:<span[^>]*>└</span> )?(\w+)", text)
    assert found == [("0", "teacher"), ("1", "student"), ("2", "fp32"), ("3", "int8"), ("1", "alone")]


def test_a_circle_and_an_unknown_parent_lose_no_row():
    rows = [TreeRow("a", "b", []), TreeRow("b", "a", []), TreeRow("c", "gone", [])]
    text = tree_table(["name"], rows)
    assert all(text.count(f">{name}<") + text.count(f" {name}<") == 1 for name in "abc")


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table(["a", "b"], [["x"]])


def svg_of(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


def test_points_lie_where_their_values_are():
    points = [Point(x, y, f"p{i}") for i, (x, y) in enumerate([(1, 0.1), (10, 0.2), (100, 0.3)])]
    svg = svg_of(scatter_svg(points, "ms", "Dice", log_x=True))
    marks = [g.get("transform") for g in svg.iter("g") if g.find("title") is not None]
    places = [tuple(map(float, re.findall(r"[\d.]+", mark))) for mark in marks]
    assert places[1][0] - places[0][0] == pytest.approx(places[2][0] - places[1][0], abs=0.3)  # equal ratios
    assert places[0][1] > places[1][1] > places[2][1]  # up is more


def labels_apart(svg):
    """The texts beside the marks; no two of them overlap."""
    labels = [t for t in svg.iter("text") if t.get("class") == "label"]
    boxes = [(float(t.get("x")), float(t.get("y")), 0.56 * 13 * len(t.text or "")) for t in labels]
    for i, (x, y, width) in enumerate(boxes):
        assert x >= 0 and x + width <= 480
        for other_x, other_y, other_width in boxes[:i]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or abs(y - other_y) >= 10
    return [t.text for t in labels]


def test_labels_of_points_apart_do_not_overlap():
    points = [Point(x, y, f"onnx_int8_{x}_{y}") for x in (1, 2, 3) for y in (1, 3)]
    assert set(labels_apart(svg_of(scatter_svg(points, "ms", "Dice")))) == {point.label for point in points}


def test_of_many_points_the_marks_have_numbers_and_the_legend_has_the_names():
    points = [Point(1.5 + i / 50, 0.5 + i / 900, f"student_of_a_long_name_{i}", "fp32") for i in range(10)]
    points.insert(3, Point(None, 0.5, "not measured"))
    svg = svg_of(scatter_svg(points, "ms", "Dice", log_x=True))
    shown = [number for number in range(1, 12) if number != 4]  # as in another plot, where that row has a place
    assert sorted(map(int, labels_apart(svg))) == shown
    named = {text.text for text in svg.iter("text")}
    assert {f"{number} {points[number - 1].label}" for number in shown} <= named and "fp32" in named


def test_plots_leave_out_what_has_no_place():
    svg = svg_of(scatter_svg([Point(0, 1, "zero"), Point(2, None, "none"), Point(3, 4, "there")], "x", "y", log_x=True))
    assert [t.text for t in svg.iter("text") if t.get("class") == "label"] == ["there"]
    assert "No row has" in scatter_svg([Point(None, 1.0, "a")], "x", "y")
    assert "no values" in line_svg([Series("a", [1], [float("nan")])])


def test_a_line_has_a_gap_where_a_value_is_missing():
    svg = svg_of(line_svg([Series("loss", [0, 1, 2, 3, 4], [1.0, 0.5, None, 0.3, 0.2])], "epoch", "loss", log_y=True))
    assert len([p for p in svg.iter("path") if p.get("class") == "line"]) == 2
    with pytest.raises(ValueError, match="2 places for 1 values"):
        line_svg([Series("loss", [1, 2], [1.0])])


def test_one_point_and_equal_values_still_have_an_axis():
    svg_of(scatter_svg([Point(5, 0.5, "only")], "x", "y", log_x=True))
    svg_of(line_svg([Series("flat", [0, 1], [0.0, 0.0])]))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_linear_ticks_are_few_round_and_inside(low, width):
    ticks = linear_ticks(low, low + width)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


@given(st.floats(1e-3, 1e3), st.floats(1.2, 1e5))
def test_log_ticks_are_inside(low, ratio):
    ticks = log_ticks(low, low * ratio)
    assert ticks and all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)


def test_an_axis_of_values_above_zero_does_not_go_below():
    assert fit_axis([0.01, 5.0], 0, 100).low >= 0
    assert [tick_text(v) for v in (0.1 + 0.2, 20000, 7_000_000, -0.5)] == ["0.3", "20k", "7M", "-0.5"]


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    light, dark = sorted([luminance(a), luminance(b)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_are_readable():
    """WCAG 2 AA for text: 4.5 : 1 on their backgrounds."""
    style = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", page("t", "b")))
    for name in ("good", "bad", "warn"):
        assert contrast(style[name], style[f"{name}-wash"]) >= 4.5
        assert contrast(style["soft"], style[f"{name}-wash"]) >= 4.5
    assert contrast(style["ink"], "#ffffff") >= 7 and contrast(style["soft"], style["wash"]) >= 4.5
    assert all(contrast(color, "#ffffff") >= 4.5 for color in COLORS)


def test_pictures_must_be_pictures():
    with pytest.raises(ValueError, match="PNG, JPEG or WebP"):
        pictures("a", [Picture(b"<svg/>", "x")])
