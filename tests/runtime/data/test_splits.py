"""Splits that are made: whole groups, close to the shares, the same on every machine."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.data.splits import SPLITS, make_split, read_split, write_split
from edgeseg.runtime.errors import DataError

groupings = st.dictionaries(st.text("abc0", min_size=1, max_size=5), st.sampled_from("ABCDEFGHIJ"), min_size=1)


@settings(deadline=None)
@given(groupings, st.integers(0, 3))
def test_no_group_is_in_two_splits_and_every_stem_is_in_one(groups, seed):
    splits = make_split(groups, seed)
    assert splits.keys() == groups.keys()
    by_group = {}
    for stem, group in groups.items():
        assert by_group.setdefault(group, splits[stem]) == splits[stem]
    if len(by_group) >= 3:
        assert set(splits.values()) == set(SPLITS)


@settings(deadline=None)
@given(groupings)
def test_the_order_of_stems_does_not_matter(groups):
    assert make_split(groups) == make_split(dict(reversed(groups.items())))


def test_single_images_are_divided_70_15_15_and_by_seed():
    groups = {f"{i:03}": f"{i:03}" for i in range(200)}
    splits = make_split(groups)
    assert [list(splits.values()).count(name) for name in SPLITS] == [140, 30, 30]
    assert splits != make_split(groups, seed=1)


def test_the_draw_is_pinned():
    """A change here would change every user's split: then old scores no longer compare."""
    splits = make_split({str(i): str(i) for i in range(7)})
    assert splits == {"0": "train", "1": "val", "2": "train", "3": "train", "4": "train", "5": "test", "6": "train"}


def test_a_split_is_read_as_written_and_refused_when_the_data_changed(tmp_path):
    groups = {"a": "g", "b": "g", "c": "h", "d": "d,with comma"}
    splits = make_split(groups)
    path = tmp_path / "run" / "split.csv"
    write_split(path, splits, groups)
    assert read_split(path, groups) == splits
    with pytest.raises(DataError, match="1 differ, first 'e'"):
        read_split(path, groups | {"e": "e"})
    with pytest.raises(DataError, match=r"groups in meta\.csv have changed"):
        read_split(path, groups | {"b": "other"})


@pytest.mark.parametrize("text", ["", "stem,split,group\na,valid,a\n", "something else\n1\n"])
def test_a_damaged_split_file_is_refused(tmp_path, text):
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="not a split file"):
        read_split(path, {"a": "a"})
