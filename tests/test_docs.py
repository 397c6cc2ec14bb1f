"""The documentation, where it is not run: that it is true, whole and connected."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]

GENERATED: dict[str, Any] = runpy.run_path(str(DOCS / "generate.py"))


@pytest.mark.parametrize("name", GENERATED["PAGES"])
def test_reference_pages_are_as_generated(name: str) -> None:
    """`python docs/generate.py` was run since the code was changed."""
    committed = (DOCS / "reference" / name).read_text("utf-8")

    assert GENERATED["page"](name) == committed


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """A link within the house names a file, and a heading, that is there."""
    page = ROOT / name
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        if not linked.exists() or (heading and heading not in anchors(linked)):
            broken.append(target)

    assert [] == broken


def anchors(page: Path) -> set[str]:
    """The headings of *page*, as links name them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found)
    return {word.replace(" ", "-") for word in words}


def test_every_page_can_be_reached() -> None:
    """The README leads to each page of the documentation, through others maybe."""
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
        ahead += [(page.parent / target).resolve() for target in targets]

    assert set() == set(DOCS.rglob("*.md")) - seen


def test_the_first_screen_of_the_readme() -> None:
    """One sentence, two commands, a host in 12 lines, a mode in 25."""
    text = (ROOT / "README.md").read_text("utf-8")
    first_screen = text.partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^python3 try\.py \w+$", first_screen, re.MULTILINE)

    assert ["python3 try.py demo", "python3 try.py test"] == commands
    assert len(blocks[0].splitlines()) <= 12
    assert len(blocks[1].splitlines()) <= 25
