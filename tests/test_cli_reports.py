"""`email-profiles report`: run, preview, runs, next and serve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from report_bench import database, schedule

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main

Open = Callable[..., EmailProfiles]
Run = Callable[..., Result]


@pytest.fixture
def home(
    open_profiles: Open, smtp_server: Any, profile_document: Any, tmp_path: Path
) -> Path:
    """A home with a profile, and a report of what a database has."""
    with open_profiles(deliver=False) as profiles:
        profiles.profiles.apply(profile_document(smtp_server), actor="test")
        source = {"url": database(tmp_path), "sql": "SELECT tank, level FROM level"}
        document = schedule(source=source, cron="30 6 * * mon")
        profiles.report_schedules.apply(document, actor="test")
        return profiles.home


@pytest.fixture
def run(home: Path) -> Run:
    def call(*words: str) -> Result:
        return CliRunner().invoke(
            main, ["--home", str(home), "--no-plugins", "report", *words]
        )

    return call


def test_run(run: Run, smtp_server: Any) -> None:
    """Makes it and sends it, and says what became of it."""
    done = run("run", "daily-levels", "--json")
    told = json.loads(done.stdout)

    assert (0, "queued", 24, "accepted") == (
        done.exit_code,
        told["state"],
        told["rows"],
        told["mail"],
    )
    assert 1 == len(smtp_server.messages)
    listed = json.loads(run("runs", "daily-levels", "--json").stdout)
    assert [told] == listed
    table = run("runs").stdout.splitlines()
    assert ["REPORT", "daily-levels"] == [line.split()[0] for line in table]


def test_run_fails(run: Run, home: Path, open_profiles: Open) -> None:
    """It ends with 1 and the reason; a host's callable is not known here."""
    with open_profiles(deliver=False) as profiles:
        profiles.report_schedules.apply(schedule(), actor="test")
    done = run("run", "daily-levels")

    assert 1 == done.exit_code
    assert "error: daily-levels: failed: nobody registered 'levels'" in done.stderr
    assert "remedy: register it with the host" in done.stderr
    assert "see `email-profiles report list`" in run("run", "x").stderr
    for endless in ("inf", "nan", "86401"):
        assert 2 == run("run", "daily-levels", "--timeout", endless).exit_code


def test_preview(run: Run, tmp_path: Path, smtp_server: Any) -> None:
    """A file, by its name's end, or on standard output; nothing is sent."""
    path = tmp_path / "levels.csv"
    done = run("preview", "daily-levels", "-o", str(path))
    shown = run("preview", "daily-levels", "-o", "-", "--format", "csv")

    assert f"daily-levels: {path.stat().st_size} octets in {path}\n" == done.stdout
    assert 25 == len(path.read_text("utf-8-sig").splitlines())
    assert path.read_bytes() == shown.stdout_bytes
    assert 2 == run("preview", "daily-levels", "-o", "x.doc").exit_code
    nowhere = str(tmp_path / "missing" / "x.csv")
    failed = run("preview", "daily-levels", "-o", nowhere)
    assert f"error: {nowhere} can't be written: No such file" in failed.stderr
    assert [] == smtp_server.messages


def test_next(run: Run) -> None:
    """Mondays, at half past six."""
    shown = run("next", "daily-levels", "--count", "3").stdout.splitlines()

    assert 3 == len(shown)
    assert all(line.startswith("Mon ") for line in shown)
    assert all(line.endswith("06:30:00 +0000") for line in shown)
    assert 2 == len(json.loads(run("next", "daily-levels", "--count", "2",
                                   "--json").stdout))  # fmt: skip


def test_serve(home: Path, smtp_server: Any, open_profiles: Open) -> None:
    """Makes what is due and delivers it, until it is told to end."""
    profiles = open_profiles(deliver=False)
    document = profiles.report_schedules.export("daily-levels")
    applied = {**document, "cron": "* * * * * *"}
    profiles.report_schedules.apply(applied, actor="test")
    code = "from email_profiles_plugin.cli import main; main()"
    words = ["--home", str(home), "--no-plugins", "report", "serve"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    assert "making reports" in process.stdout.readline()
    smtp_server.wait_for(1, timeout=60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert 0 == process.returncode
