"""
The kept cases: one a line, in hexadecimal, with what it is about behind a `#`.

`python fuzz/cases.py replies|dialogues FILE...` adds what is in the files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def kept(name: str) -> list[bytes]:
    """All cases of a check, in the order in which they came."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").splitlines()
    cases = [line.partition("#")[0].strip() for line in lines]
    return [bytes.fromhex(case) for case in cases if case]


def keep(name: str, cases: Iterable[bytes]) -> None:
    """Add *cases*, the shortest first; those that are kept already stay as they are."""
    known = set(kept(name))
    with (CORPUS / f"{name}.txt").open("a", encoding="ascii") as file:
        for case in sorted(set(cases) - known, key=lambda one: (len(one), one)):
            print(case.hex(), file=file)


if __name__ == "__main__":
    keep(sys.argv[1], [Path(path).read_bytes() for path in sys.argv[2:]])
