"""The page around a report: one file with its style inside and nothing to fetch."""

from __future__ import annotations

from importlib import resources

from edgeseg.benchmarks.report.markup import Markup, Value, escape, join

# No script, no picture and no style from anywhere else, whatever a value may contain.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, body: Value | list[Value], subtitle: str = "", language: str = "en") -> str:
    """A whole HTML document.

    Args:
        title: The heading and the window's title.
        body: Parts made by the kit; plain text among them is escaped and becomes text.
        subtitle: A line under the heading.
        language: Of the text, as in `lang`.
    """
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    content = join(body) if isinstance(body, list) else escape(body)
    below = Markup(f'<p class="subtitle">{escape(subtitle)}</p>') if subtitle else Markup()
    return f"""<!doctype html>
<html lang="{escape(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="color-scheme" content="light">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1>{below}</header>
{content}
</main>
</body>
</html>
"""
