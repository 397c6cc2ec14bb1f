"""The demo: the whole job in one command, and nothing left behind."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from email_profiles_plugin.cli import main


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message as received, its outcome, the session; the real home untouched."""
    home = tmp_path / "home"
    monkeypatch.setenv("EMAIL_PROFILES_HOME", str(home))
    monkeypatch.setenv("EMAIL_PROFILES_DATABASE", f"sqlite:///{tmp_path / 'real.db'}")
    monkeypatch.setattr(
        "email_profiles_plugin.cli.demo.secrets.token_urlsafe", lambda size: "c4n4ry"
    )
    result = CliRunner().invoke(main, ["demo", "--session"], catch_exceptions=False)

    assert (0, "") == (result.exit_code, result.stderr)
    for line in (
        "plant-alerts: created",
        "Subject  Behälter 4: Füllstand hoch (92 %)",
        "  Tank 4 is at 92 %, the limit is 90 %.",
        "Attachment  Füllstände.csv (52 octets, text/csv)",
        "Received  over TLS; signed in: gateway",
        "state     accepted",
    ):
        assert line in result.stdout.splitlines()
    assert "C: STARTTLS" in result.stdout
    assert "c4n4ry" not in result.output
    assert [] == list(tmp_path.iterdir())


def test_demo_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its servers the demo says what to install."""
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "aiosmtpd":
            raise ModuleNotFoundError("No module named 'aiosmtpd'", name="aiosmtpd")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    result = CliRunner().invoke(main, ["demo"])

    assert 1 == result.exit_code
    assert (
        "error: the demo needs aiosmtpd\n"
        "remedy: pip install 'email-profiles-plugin[demo]'\n" == result.stderr
    )
