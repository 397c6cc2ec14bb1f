"""The examples in README.md and docs/ are tests: run in order, a page at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from contextlib import ExitStack
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from sybil import Example, Sybil
from sybil.parsers.markdown import (
    CodeBlockParser,
    PythonCodeBlockParser,
    SkipParser,
)

PORT = "8025"
"""The port that the pages name; a page's own mail server stands in for it."""

PROFILE = {"name": "plant-alerts", "auth": {"mode": "basic"}}


def open_page(namespace: dict[str, Any]) -> None:
    """
    Give a page a home and a folder of its own, and a mail server on loopback.

    The home has the email profile `plant-alerts` unless the page makes it: pages
    under tutorial/ do.
    """
    from email_profiles_plugin import EmailProfiles
    from email_profiles_plugin.testing import SmtpServer

    stack = namespace["_page"] = ExitStack()
    folder = Path(stack.enter_context(TemporaryDirectory()))
    server = namespace["smtp_server"] = stack.enter_context(SmtpServer())
    variables = {"EMAIL_PROFILES_HOME": str(folder / "home"), "HOME": str(folder)}
    stack.enter_context(patch.dict(os.environ, variables))
    namespace["_folder"], namespace["_port"] = folder, str(server.port)
    smtp = {"hostname": "127.0.0.1", "port": server.port}
    with EmailProfiles.open(deliver=False) as profiles:
        profiles.profiles.apply({**PROFILE, "smtp": smtp}, actor="conftest")


def close_page(namespace: dict[str, Any]) -> None:
    namespace["_page"].close()


def run_shell(example: Example) -> None:
    """Run a block as a person would paste it; every command has to succeed."""
    namespace = example.namespace
    scripts = sysconfig.get_path("scripts")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed.replace(PORT, namespace["_port"])],
        cwd=namespace["_folder"],
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    namespace["_output"] = done.stdout.replace(namespace["_port"], PORT)


def compare_output(example: Example) -> None:
    """What a page shows under a shell block is what it prints; `...` is anything."""
    if "_output" not in example.namespace:
        return
    printed = example.namespace.pop("_output")
    shown = example.parsed
    flags = ELLIPSIS | NORMALIZE_WHITESPACE
    assert OutputChecker().check_output(shown, printed, flags), printed
