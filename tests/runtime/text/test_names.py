"""Names of any bytes: hashed as the file system has them, shown without steering a terminal."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.data.splits import draw_key, make_split
from edgeseg.runtime.text.names import folded, name_bytes, rejoined, shown, shown_lines, without_bytes

GBK = os.fsdecode("检测".encode("gbk"))
ANY = st.text(st.characters(codec=None, categories=None))  # lone surrogates too


@given(ANY)
def test_nothing_fails_on_any_text(text: str) -> None:
    name_bytes(text)
    rejoined(text).encode("utf-8", "surrogatepass")
    without_bytes(text).encode()
    shown(text).encode()
    assert "\n" not in shown(text) and "\x1b" not in shown_lines(text)
    draw_key(text, 0)


def test_the_bytes_are_the_files_own() -> None:
    assert name_bytes(GBK) == "检测".encode("gbk")
    assert name_bytes("检测") == "检测".encode()
    # As a locale without UTF-8 reads the same file.
    assert name_bytes("检测".encode().decode("ascii", "surrogateescape")) == "检测".encode()
    assert rejoined("检测".encode().decode("ascii", "surrogateescape")) == "检测"


def test_what_is_shown() -> None:
    assert shown(GBK) == r"\xbc\xec\xb2\xe2"
    assert shown("a\x1b[31m\nb\tc\x9b\u202e") == r"a\x1b[31m\nb\tc\x9b\u202e"
    assert shown_lines("a\x1b[31m\nb\tc\r") == "a\\x1b[31m\nb\tc\\r"
    assert shown("检测 图.png") == "检测 图.png"
    assert without_bytes(f"{GBK}\x1b\n") == "\\xbc\\xec\\xb2\\xe2\x1b\n"


def test_names_that_many_file_systems_do_not_tell_apart() -> None:
    assert folded("\u00c9a.PNG") == folded("e\u0301A.png")
    assert folded("a") != folded("b")


def test_a_split_of_such_names_is_the_bytes_split() -> None:
    stems = {f"{GBK}{k}": f"{GBK}{k}" for k in range(12)}
    assert sorted(make_split(stems).values()).count("test") >= 1
