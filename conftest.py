"""Tests of the checkout; the examples in README.md and docs/ are tests, in order."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from sybil.typing import Parser

PORT = "8025"
"""The port that the pages name; a mail server of the page's own stands in for it."""

COMMAND = """\
#!/bin/sh
exec "{python}" -c 'from email_profiles_plugin.cli import main; main()' "$@"
"""


def pytest_configure(config: pytest.Config) -> None:
    """The fixtures for authors of plugins are ours too, installed or not."""
    if not config.pluginmanager.has_plugin("email_profiles"):
        from email_profiles_plugin.testing import pytest_plugin

        config.pluginmanager.register(pytest_plugin, "email_profiles")


LONGEST = (
    "test_token_stress.py",
    "test_console_pages.py",
    "test_console_browser.py",
    "test_example_service_account.py",
    "test_browser_grant.py",
    "test_workers.py",
    "test_testing_mail_system.py",
    "test_console_api_fuzz.py",
    "test_report_scheduler.py",
    "test_cli_console.py",
    "test_real_servers.py",
)
"""Files that take longest begin first, so that no worker is left alone with one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first; the rest in its order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def open_empty_page(namespace: dict[str, Any]) -> None:
    """A page starts in a folder and a home of its own; a mail server runs."""
    from email_profiles_plugin.testing import SmtpServer

    stack = namespace["page"] = ExitStack()
    folder = namespace["folder"] = Path(stack.enter_context(TemporaryDirectory()))
    command = folder / "bin" / "email-profiles"
    command.parent.mkdir()
    command.write_text(COMMAND.format(python=sys.executable), "utf-8")
    command.chmod(0o755)
    variables = {
        "EMAIL_PROFILES_HOME": str(folder / "home"),
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "COLUMNS": "88",
    }
    stack.enter_context(patch.dict(os.environ, variables))
    namespace["smtp_server"] = stack.enter_context(SmtpServer())


def open_page(namespace: dict[str, Any]) -> None:
    """As above, and the home has the email profile `plant-alerts`."""
    from email_profiles_plugin import EmailProfiles

    open_empty_page(namespace)
    document = {
        "name": "plant-alerts",
        "smtp": {"hostname": "127.0.0.1", "port": namespace["smtp_server"].port},
        "auth": {"mode": "basic"},
    }
    with EmailProfiles.open(deliver=False) as profiles:
        profiles.profiles.apply(document, actor="conftest")
    namespace["serve_console"] = partial(serve_console, namespace)


def serve_console(namespace: dict[str, Any]) -> None:
    """A console of the page's home, at $CONSOLE; $TOKEN is an admin's."""
    sys.path.append(str(Path(__file__).parent / "tests"))
    from console_client import ConsoleServer

    from email_profiles_plugin import EmailProfiles, roles

    profiles = namespace["page"].enter_context(EmailProfiles.open(deliver=False))
    console = namespace["page"].enter_context(ConsoleServer(profiles))
    made = profiles.access.make("page", roles.Role.ADMIN, actor="conftest")
    os.environ.update(CONSOLE=console.url, TOKEN=made.secret)


def close_page(namespace: dict[str, Any]) -> None:
    namespace["page"].close()


def run_shell(example: Example) -> None:
    """Run a block as a person would paste it; every command has to succeed."""
    port = str(example.namespace["smtp_server"].port)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed.replace(PORT, port)],
        cwd=example.namespace["folder"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    example.namespace["printed"] = done.stdout.replace(port, PORT)


def compare_output(example: Example) -> None:
    """The `text` under a shell block is what it prints; `...` stands for anything."""
    printed = example.namespace.pop("printed", None)
    if printed is not None:
        flags = ELLIPSIS | NORMALIZE_WHITESPACE
        assert OutputChecker().check_output(example.parsed, printed, flags), printed


PARSERS: list[Parser] = [
    SkipParser(),
    PythonCodeBlockParser(),
    CodeBlockParser(language="bash", evaluator=run_shell),
    CodeBlockParser(language="text", evaluator=compare_output),
]

pytest_collect_file = (
    Sybil(
        PARSERS,
        patterns=["README.md", "docs/**/*.md"],
        excludes=["docs/tutorial/*.md"],
        setup=open_page,
        teardown=close_page,
    )
    + Sybil(
        PARSERS,
        pattern="docs/tutorial/*.md",
        setup=open_empty_page,
        teardown=close_page,
    )
).pytest()
