"""
Set everything up in `.venv`, then show email profiles at work, or test them.

    python3 try.py demo     runs `email-profiles demo`
    python3 try.py test     runs what CI runs: tox, with the Pythons that are here

Needs Python 3.11 or newer and a network, and nothing else. What follows the first
word is passed on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

NEEDS = {"demo": ["--editable", f"{ROOT}[demo]"], "test": ["tox>=4.11"]}
"""What pip has to install, by the first word."""

IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"
NEWER = ("python3.13", "python3.12", "python3.11")


def main(arguments: list[str]) -> int:
    """Do what the first word says; its exit code."""
    if not arguments or arguments[0] not in NEEDS:
        if arguments and arguments[0] not in ("-h", "--help"):
            print(f"There is no {arguments[0]!r} here.\n", file=sys.stderr)
        print((__doc__ or "").strip(), file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if sys.version_info < (3, 11):
        return with_newer_python(arguments)
    word, rest = arguments[0], arguments[1:]
    set_up(word)
    if word == "demo":
        return run([BIN / "email-profiles", "demo", *rest])
    return run([PYTHON, "-m", "tox", "run", *rest])


def with_newer_python(arguments: list[str]) -> int:
    """Start again with a Python that will do, if one has a name we can guess."""
    for name in NEWER:
        found = shutil.which(name)
        if found and run([found, "-c", IS_NEW_ENOUGH], quiet=True) == 0:
            return run([found, __file__, *arguments])
    here = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"This is Python {here}; email profiles need 3.11 or newer.")


def set_up(word: str) -> None:
    """Make `.venv` hold what *word* needs; at once where it does."""
    if run([PYTHON, "-c", IS_NEW_ENOUGH], quiet=True) != 0:
        print(f"Making {VENV} ...", flush=True)
        make_environment()
    stamp, wanted = VENV / f".try-{word}", fingerprint(word)
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return
    print(f"Installing what `{word}` needs (slow the first time) ...", flush=True)
    quietly = ["--quiet", "--disable-pip-version-check"]
    if run([*pip(), "install", *quietly, *NEEDS[word]]) != 0:
        sys.exit("pip could not install it; what it says above tells why.")
    stamp.write_text(wanted, "utf-8")


def fingerprint(word: str) -> str:
    """Another one as soon as an installation may be out of date, or was moved."""
    files = [ROOT / "setup.cfg", ROOT / "pyproject.toml"]
    said = [repr(NEEDS[word]), *(file.read_text("utf-8") for file in files)]
    return hashlib.sha256("\0".join(said).encode()).hexdigest()


def make_environment() -> None:
    """Make `.venv`, with pip inside if this Python can do that."""
    if find_spec("venv") is None:
        explain("the module venv")
    with_pip = [] if find_spec("ensurepip") else ["--without-pip"]
    if run([sys.executable, "-m", "venv", "--clear", *with_pip, VENV]) != 0:
        sys.exit(f"python -m venv failed; remove {VENV} if it is in the way.")


def pip() -> list[str | Path]:
    """The pip in `.venv`, or this Python's own, told to install there."""
    inside: list[str | Path] = [PYTHON, "-m", "pip"]
    if run([*inside, "--version"], quiet=True) == 0:
        return inside
    if run([PYTHON, "-m", "ensurepip"], quiet=True) == 0:
        return inside
    outside: list[str | Path] = [sys.executable, "-m", "pip", "--python", PYTHON]
    if run([*outside, "--version"], quiet=True) != 0:
        explain("ensurepip, and pip 22.3 or newer too")
    return outside


def explain(missing: str) -> None:
    """End, with what to install."""
    sys.exit(
        f"This Python ({sys.executable}) lacks {missing}.\n"
        "On Debian and Ubuntu: apt install python3-venv. Elsewhere: a full Python."
    )


def run(command: list[str | Path], *, quiet: bool = False) -> int:
    """The exit code of *command*; 127 where there is no such program."""
    silence = subprocess.DEVNULL if quiet else None
    try:
        return subprocess.run(
            [str(part) for part in command], stdout=silence, stderr=silence
        ).returncode
    except FileNotFoundError:
        if not quiet:
            print(f"{command[0]} is not there.", file=sys.stderr)
        return 127
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
