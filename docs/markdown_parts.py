"""What all generated pages have in common."""

from __future__ import annotations

from html import escape as escape_html

MADE = "<!-- Made by docs/generate.py: change what it is made from. -->"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(text: str) -> str:
    """*text* as it can stand in a table; a `<` would begin a tag."""
    shown = text if "`" in text else escape_html(text, quote=False)
    return shown.replace("|", "\\|")
