"""Small files of a device as a tree here, so that what reads this machine's files reads a device's.

A device needs a POSIX shell for it and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_FILE, _REFUSED = "@edgeseg-file ", "@edgeseg-refused "
_ENTRY = re.compile(rf"^({_FILE}|{_REFUSED})(.*)\n", re.MULTILINE)


def print_files(patterns: Sequence[str]) -> str:
    """A script that prints what is in the files of these names; shell patterns are allowed."""
    return (
        f'for f in {" ".join(patterns)}; do if [ -d "$f" ] || [ ! -e "$f" ]; then continue; '
        f'elif [ -r "$f" ]; then echo "{_FILE}$f"; cat "$f"; echo; else echo "{_REFUSED}$f"; fi; done'
    )


def files_in(said: str) -> dict[str, str | None]:
    """What such a script printed: text by name; `None` of a file that may not be read."""
    parts = _ENTRY.split(said)
    return {
        name: text.removesuffix("\n") if kind == _FILE else None
        for kind, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


def lay_out(files: Mapping[str, str | None], root: Path) -> Path:
    """Write files that could be read into a tree.

    Args:
        files: Text by absolute name.
        root: Where `/` is.
    """
    for name, text in files.items():
        if text is not None:
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return root
