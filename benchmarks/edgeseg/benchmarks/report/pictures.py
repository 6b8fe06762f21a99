"""Pictures inside the page, side by side under one title."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.benchmarks.report.markup import Markup, Value, escape

_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}


@dataclass(frozen=True)
class Picture:
    """An encoded picture (PNG, JPEG or WebP) and what it shows."""

    data: bytes
    caption: str


def pictures(title: Value, shown: Sequence[Picture], note: Value = "") -> Markup:
    """A row of pictures: four abreast on a desk and on paper, two on a phone.

    Args:
        title: Above the row, such as the image's name.
        shown: The pictures, all of one size.
        note: Below the title, such as the image's scores.

    Raises:
        ValueError: A picture is neither PNG nor JPEG nor WebP.
    """
    figures = "".join(
        f'<figure><img src="data:image/{_type(picture.data)};base64,{base64.b64encode(picture.data).decode("ascii")}" '
        f'alt="{escape(picture.caption)}" loading="lazy"><figcaption>{escape(picture.caption)}</figcaption></figure>'
        for picture in shown
    )
    below = f"<p>{escape(note)}</p>" if note else ""
    return Markup(f'<section class="pictures"><h4>{escape(title)}</h4>{below}<div>{figures}</div></section>')


def _type(data: bytes) -> str:
    for start, name in _TYPES.items():
        if data.startswith(start):
            return name
    raise ValueError(f"a picture must be PNG, JPEG or WebP; this one begins with {data[:4]!r}")
