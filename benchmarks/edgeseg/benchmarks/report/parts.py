"""The small parts of a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from edgeseg.benchmarks.report.markup import Markup, Value, escape, join

Tone = Literal["good", "bad", "warn", "plain"]

# Every status of a row and every verdict has its tone here, so that a word looks the same on all pages.
_TONES: dict[str, Tone] = {
    "ok": "good",
    "shipped": "good",
    "faster": "good",
    "not worse": "good",
    "refused": "bad",
    "failed": "bad",
    "slower": "bad",
    "worse": "bad",
    "not shown": "warn",
    "inconclusive": "warn",
    "no difference shown": "warn",
    "unsupported": "plain",
    "not measured": "plain",
}


def heading(text: Value, level: int = 2) -> Markup:
    """A heading of level 2 to 4; the page's title is level 1."""
    return Markup(f"<h{level}>{escape(text)}</h{level}>")


def paragraph(*parts: Value) -> Markup:
    """A paragraph of text and inline parts."""
    return Markup(f"<p>{join(parts, ' ')}</p>")


def items(entries: Iterable[Value]) -> Markup:
    """A bulleted list."""
    return Markup("<ul>" + "".join(f"<li>{escape(entry)}</li>" for entry in entries) + "</ul>")


def code(text: str) -> Markup:
    """Commands or file content, to be copied as it stands."""
    return Markup(f"<pre><code>{escape(text)}</code></pre>")


def facts(values: Mapping[str, Value]) -> Markup:
    """Names and values side by side."""
    pairs = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return Markup(f'<dl class="facts">{pairs}</dl>')


def badge(word: str, tone: Tone | None = None) -> Markup:
    """A status or verdict; its tone follows from the word unless given, and the word itself always stays readable."""
    return Markup(f'<span class="badge {tone or _TONES.get(word, "plain")}">{escape(word)}</span>')


def verdict(sentence: Value, tone: Tone = "plain", detail: Value = "") -> Markup:
    """The page's one sentence, set large, with its evidence in smaller type below."""
    below = f"<p>{escape(detail)}</p>" if detail else ""
    return Markup(f'<section class="verdict {tone}"><p class="sentence">{escape(sentence)}</p>{below}</section>')


def notice(sentence: Value, entries: Iterable[Value], tone: Tone = "warn") -> Markup:
    """What has to be read before the verdict: a sentence as large as it, and a list."""
    head = f'<p class="sentence">{escape(sentence)}</p>'
    return Markup(f'<section class="verdict {tone}">{head}{items(entries)}</section>')


def figure(content: Markup, caption: Value = "") -> Markup:
    """A plot or picture with what it shows written under it."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Markup(f"<figure>{content}{below}</figure>")


def side_by_side(*parts: Markup) -> Markup:
    """Parts next to each other where there is room, below each other where not."""
    return Markup(f'<div class="side-by-side">{join(parts)}</div>')


def details(summary: Value, content: Value, opened: bool = False) -> Markup:
    """What is folded away on a screen; on paper it is always open."""
    attribute = " open" if opened else ""
    return Markup(f"<details{attribute}><summary>{escape(summary)}</summary><div>{escape(content)}</div></details>")
