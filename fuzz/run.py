"""
Fuzz one of the checks: `python fuzz/run.py replies|dialogues [libFuzzer's options]`.

Needs atheris, and nothing else beyond the plugin; nobody imports this. What is found
is kept in `fuzz/.found`; with `-merge=1` the least of it that reaches as much is copied
to `fuzz/.found/NAME-least`.
"""

from __future__ import annotations

import sys
from hashlib import sha1
from importlib import import_module
from pathlib import Path

import atheris
from cases import kept

HERE = Path(__file__).parent
WATCHED = [
    "email_profiles_hookspecs.sasl",
    "email_profiles_plugin.smtp",
    "email_profiles_plugin.submission",
]


def main(arguments: list[str]) -> None:
    """Play the kept cases first, then what is made of them, until told to stop."""
    name, *options = arguments
    with atheris.instrument_imports(include=WATCHED, enable_loader_override=False):
        check = import_module(name).check
    found, least = HERE / ".found" / name, HERE / ".found" / f"{name}-least"
    for folder in (found, least):
        folder.mkdir(parents=True, exist_ok=True)
    for case in kept(name):
        (found / sha1(case).hexdigest()).write_bytes(case)
    folders = [least, found] if "-merge=1" in options else [found]
    if any(Path(option).is_file() for option in options):
        folders = []  # these are played, and nothing else
    itself = f"{sys.executable} {__file__} {name}"  # libFuzzer starts it anew, at times
    words = f"-dict={HERE / 'words.dict'}"
    artifacts = f"-artifact_prefix={found.parent}/{name}-"
    given = [itself, words, artifacts, *options, *map(str, folders)]
    atheris.Setup(given, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
