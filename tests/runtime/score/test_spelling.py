"""Names that differ in case and blanks alone are one; others never are."""

import pytest

from edgeseg.runtime.score.spelling import folded, positions


@pytest.mark.parametrize(
    "names", [("Pit", " pit", "PIT "), ("ball screw", "Ball_Screw", "ball  screw"), ("naïve", "nai\u0308ve", "NAÏVE")]
)
def test_case_blanks_and_unicode_form_do_not_matter(names):
    assert len({folded(name) for name in names}) == 1


@pytest.mark.parametrize(("one", "other"), [("pit", "pits"), ("-1", "1"), ("ballscrew", "ball screw"), ("m2", "m²")])
def test_everything_else_does(one, other):
    assert folded(one) != folded(other)


@pytest.mark.parametrize(
    ("wanted", "among", "found"),
    [
        (["a", "b", "c"], ["c", "a", "b"], (1, 2, 0)),
        (["A", "b "], ["b", "a"], (1, 0)),
        (["A", "a"], ["a", "A"], (1, 0)),  # as written comes first
        (["A", "a"], ["a", "b"], None),
        (["a", "B"], ["b", "b "], None),
        (["a", "b"], ["a", "c"], None),
    ],
)
def test_positions_are_found_once_each_or_not_at_all(wanted, among, found):
    assert positions(wanted, among) == found
