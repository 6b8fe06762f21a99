"""Writing one text into YAML so that every reader of YAML reads that very text again."""

from __future__ import annotations

import re

# Letters alone, and nothing that YAML 1.1 or 1.2 reads as a truth, a null or a number.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ -]?[A-Za-z0-9_]+)*")
_RESERVED = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


def yaml_word(text: str) -> str:
    """The text as it stands where that is safe, in flow and block style, else in double quotes on one line."""
    import yaml

    if _PLAIN.fullmatch(text) and text.casefold() not in _RESERVED:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))).strip()
