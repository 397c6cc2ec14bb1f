"""A report from its rows to the mail that arrives, and what is said if it can't."""

from __future__ import annotations

import csv
import io
import logging
import pickle
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from openpyxl import load_workbook
from pypdf import PdfReader
from report_bench import LEVELS, Inline, database, levels, schedule

from email_profiles_hookspecs.errors import Invalid, NotFound, ReportFailed
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.reports import Occasion, Reports, Table
from email_profiles_plugin.consumers.reports.edition import Job
from email_profiles_plugin.consumers.reports.press import MEMORY
from email_profiles_plugin.consumers.reports.spool import spool
from email_profiles_plugin.consumers.reports.workshop import occasion_of, schedule_of
from email_profiles_plugin.store import documents

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]


@pytest.fixture
def plant(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> Iterator[EmailProfiles]:
    """An email profile called plant, by which mail is delivered; all of it arrives."""
    with open_profiles() as profiles:
        profiles.profiles.apply(profile_document(smtp_server), actor="test")
        yield profiles


@pytest.fixture
def reports(plant: EmailProfiles) -> Reports:
    """As a host has them, but made in the test's own process."""
    return Reports(plant, sources={"levels": levels}, press=Inline())


@pytest.fixture
def pressed(plant: EmailProfiles) -> Reports:
    """As a host has them."""
    return Reports(plant, sources={"levels": levels})


def applied(reports: Reports, **changes: Any) -> str:
    """A schedule, stored; its name."""
    document = schedule(**changes)
    reports.profiles.report_schedules.apply(document, actor="test")
    name: str = document["name"]
    return name


def parts(message: Any) -> dict[str, Any]:
    """The parts of a message that arrived, by their content type."""
    return {part.get_content_type(): part for part in message.walk()}


PRINTING = "email_profiles_plugin.consumers.reports.printing"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def test_every_format_arrives(
    pressed: Reports, smtp_server: Any, tmp_path: Path
) -> None:
    """From a database, to everybody, with a chart; each file opens, with the rows."""
    source = {
        "url": database(tmp_path),
        "sql": "SELECT at, tank, level, :line AS line FROM level ORDER BY at",
    }
    name = applied(
        pressed,
        source=source,
        parameters={"line": "=A"},
        cc=["Chief <chief@plant.example>"],
        bcc=["archive@plant.example"],
        reply_to=["shift@plant.example"],
        subject="Levels of {{ scheduled_at|date('%Y') }}: {{ row_count }}",
        body="Dear all,\n{{ rows[0].tank }} had {{ rows[0].level }}.",
        attachment_name="Füllstände {{ scheduled_at|date('%Y') }}",
        formats=["pdf", "xlsx", "csv", "html"],
        show_in_mail=True,
        chart={"kind": "line", "x": "at", "y": ["level"]},
        retries=0,
    )
    run = pressed.run_now(name, actor="anna")
    assert ("queued", "", 24, 3, "anna") == (
        run.state,
        run.error,
        run.row_count,
        run.recipients,
        run.asked_by,
    )
    outcome = pressed.profiles.outcome(run.message_id or "", wait=60)
    assert outcome is not None
    assert "accepted" == outcome.state
    (arrived,) = smtp_server.messages
    message, found = arrived.message, parts(arrived.message)

    assert f"Levels of {run.scheduled_at:%Y}: 24" == message["Subject"]
    assert "shift@plant.example" == message["Reply-To"]
    assert "Bcc" not in message
    assert 3 == len(arrived.recipients)
    text = found["text/plain"].get_content().replace("\r\n", "\n")
    assert "Dear all,\nTank 0 had 0.\n" == text
    names = [part.get_filename() for part in message.iter_attachments()]
    assert [f"Füllstände {run.scheduled_at:%Y}.{kind}" for kind in (
        "pdf", "xlsx", "csv", "html")] == [one for one in names if one]  # fmt: skip
    wanted = [[at, tank, level, "=A"] for at, tank, level in LEVELS]

    pdf = PdfReader(io.BytesIO(found["application/pdf"].get_content()))
    paper = "\n".join(page.extract_text() for page in pdf.pages)
    assert all(f"{at} {tank} {level:.10g} =A" in paper for at, tank, level in LEVELS)
    assert 1 == len(pdf.pages[0].images)
    (sheet,) = load_workbook(io.BytesIO(found[XLSX].get_content())).worksheets
    lines = [[cell.value for cell in line] for line in sheet.iter_rows()]
    assert [["at", "tank", "level", "line"], *wanted] == lines
    attached = next(p for p in message.iter_attachments()
                    if str(p.get_filename()).endswith(".csv"))  # fmt: skip
    read = list(csv.reader(io.StringIO(attached.get_content().lstrip("\ufeff"))))
    assert [[at, tank, str(level), "'=A"] for at, tank, level, _ in wanted] == read[1:]

    page, picture = found["text/html"], found["image/png"]
    pages = [p.get_content() for p in message.walk()
             if p.get_content_type() == "text/html"]  # fmt: skip
    assert page is not None
    assert 2 == len(pages)
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in pages[0]
    assert 'src="data:image/png;base64,' in pages[1]
    assert picture.get_content().startswith(b"\x89PNG")


def test_a_long_report_is_cut_on_paper(reports: Reports, smtp_server: Any) -> None:
    """The mail and the page say so; the CSV file has all of it, up to max_rows."""
    name = applied(reports, formats=["csv", "html"], max_rows_pdf=5, max_rows=20)
    run = reports.run_now(name)
    reports.profiles.outcome(run.message_id or "", wait=60)
    (arrived,) = smtp_server.messages
    found = parts(arrived.message)
    notes = (
        "There are more than 20 rows; these are the first.",
        "Pages show the first 5 of 20 rows; the CSV file has them all.",
    )

    assert notes == run.notes
    assert all(one in found["text/plain"].get_content() for one in notes)
    assert all(one in found["text/html"].get_content() for one in notes)
    assert 5 == found["text/html"].get_content().count("<tr>") - 1
    assert 21 == len(found["text/csv"].get_content().splitlines())


def test_nobody_but_bcc_from_a_query(
    reports: Reports, smtp_server: Any, tmp_path: Path
) -> None:
    """Recipients come from a query; one that is no address is left out, and told."""
    url = database(tmp_path)
    who = (
        "SELECT 'a@plant.example' AS address UNION ALL SELECT 'nobody'"
        " UNION ALL SELECT lower(:who)"
    )
    name = applied(
        reports,
        to=[],
        source={"url": url, "sql": "SELECT tank FROM level"},
        recipients_from={"sql": who, "method": "bcc"},
        parameters={"who": "B@plant.example"},
    )
    run = reports.run_now(name)
    reports.profiles.outcome(run.message_id or "", wait=60)
    (arrived,) = smtp_server.messages

    assert ["a@plant.example", "b@plant.example"] == sorted(arrived.recipients)
    assert "undisclosed-recipients:;" == arrived.message["To"]
    assert ("Left out: 'nobody' has no at sign",) == run.notes


def test_recipients_from_a_callable(plant: EmailProfiles, smtp_server: Any) -> None:
    """Who is on shift is asked when the report is made."""
    reports = Reports(
        plant,
        sources={"levels": levels},
        recipients={"shift": lambda occasion: [f"{occasion.schedule}@plant.example"]},
        press=Inline(),
    )
    run = reports.run_now(
        applied(reports, to=[], recipients_from={"callable": "shift"})
    )
    reports.profiles.outcome(run.message_id or "", wait=60)

    assert ["daily-levels@plant.example"] == [*smtp_server.messages[0].recipients]


def test_an_empty_report_is_left_out(reports: Reports, plant: EmailProfiles) -> None:
    """Where that is wanted; else it is sent, and says that there is nothing."""
    empty = Reports(
        plant, sources={"levels": lambda _: Table(["at"], [])}, press=Inline()
    )
    run = empty.run_now(applied(reports, send_empty=False))

    assert ("empty", 0, None) == (run.state, run.row_count, run.message_id)
    assert "queued" == empty.run_now(applied(reports, send_empty=True)).state


def test_a_disabled_profile(
    reports: Reports, plant: EmailProfiles, profile_document: Document,
    smtp_server: Any, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It is said before anything is asked for, recorded, and told to the operator."""
    asked: list[str] = []
    reports.sources = {"levels": lambda o: asked.append("x") or levels(o)}
    name = applied(reports, errors_to=["operator@plant.example"])
    document = profile_document(smtp_server, enabled=False)
    plant.profiles.apply(document, actor="test")
    with caplog.at_level(logging.ERROR):
        run = reports.run_now(name)

    assert ("failed", "profile", "the email profile 'plant' is disabled") == (
        run.state,
        run.stage,
        run.error,
    )
    assert [] == asked
    assert [run] == list(reports.runs(name))
    said = [one.getMessage() for one in caplog.records]
    assert "the email profile 'plant' is disabled: enable it" in said[0]
    assert "nobody could be told: the email profile 'plant' is disabled" in said[1]


def test_a_deleted_profile(reports: Reports, plant: EmailProfiles) -> None:
    """Deletion is refused as long as a schedule names it; if it goes all the same..."""
    name = applied(reports)
    with pytest.raises(Exception, match="used by report schedule 'daily-levels'"):
        plant.profiles.delete("plant", actor="test")

    def gone(connection: Any) -> None:  # by some other hand
        documents.refer(connection, plant.report_schedules.get(name).id, {})
        documents.remove(connection, plant.profiles.get("plant").id)

    plant.database.write(gone)
    run = reports.run_now(name)

    assert ("failed", "profile") == (run.state, run.stage)
    assert "there is no email profile 'plant' any more" == run.error


def test_a_renamed_profile(reports: Reports, plant: EmailProfiles) -> None:
    """Everything goes on."""
    name = applied(reports)
    plant.profiles.rename("plant", "works", actor="test")

    assert "queued" == reports.run_now(name).state


def test_a_profile_that_is_renamed_while_a_report_is_made(
    reports: Reports, plant: EmailProfiles
) -> None:
    """The report goes out by the name that the profile has by then."""

    def renaming(occasion: Occasion) -> Table:
        plant.profiles.rename("plant", "works", actor="test")
        return levels(occasion)

    reports.sources = {"levels": renaming}

    assert "queued" == reports.run_now(applied(reports)).state


def test_errors_are_mailed(reports: Reports, smtp_server: Any) -> None:
    """Whoever is to know that a report did not come is told why."""
    name = applied(
        reports,
        source={"callable": "nothing"},
        errors_to=["operator@plant.example"],
        timezone="Europe/Berlin",
    )
    run = reports.run_now(name)
    (told,) = (one.id for one in reports.profiles.outbox.list())
    reports.profiles.outcome(told, wait=60)
    (arrived,) = smtp_server.messages

    assert ("failed", "source") == (run.state, run.stage)
    assert ["operator@plant.example"] == [*arrived.recipients]
    assert "Report failed: daily-levels" == arrived.message["Subject"]
    assert "nobody registered 'nothing'" in arrived.message.get_content()


@pytest.mark.parametrize(
    ("changes", "stage", "said"),
    [
        ({"source": {"callable": "broken"}}, "source", "the source failed: OSError: x"),
        ({"source": {"callable": "text"}}, "source", "'text' returned str, not a"),
        ({"to": [], "recipients_from": {"callable": "none"}}, "recipients",
         "there is nobody to send it to"),
        ({"body": "{{ rows[99].tank }}"}, "template", "body: line 1: "),
        ({"chart": {"kind": "bar", "x": "tank", "y": ["hight"]}, "show_in_mail": True},
         "chart", "the report has no column 'hight' for its chart"),
    ],
)  # fmt: skip
def test_a_report_that_fails(
    plant: EmailProfiles, changes: dict[str, Any], stage: str, said: str
) -> None:
    """It is recorded what failed, and why; nothing is sent."""

    def broken(_: object) -> Table:
        raise OSError("x")

    sources: Any = {"levels": levels, "broken": broken, "text": lambda _: "x"}
    recipients: Any = {"none": lambda _: []}
    reports = Reports(plant, sources=sources, recipients=recipients, press=Inline())
    run = reports.run_now(applied(reports, **changes))

    assert ("failed", stage) == (run.state, run.stage)
    assert run.error.startswith(said)
    assert [] == plant.outbox.list()


def test_a_template_that_never_ends(pressed: Reports) -> None:
    """Its process is killed when its time is up; the host goes on."""
    endless = (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    run = pressed.run_now(applied(pressed, body=endless, time_limit_s=1))

    assert ("failed", "limits") == (run.state, run.stage)
    assert run.error.startswith("making the report took longer than")
    assert "time_limit_s" in run.remedy


def test_a_template_that_takes_all_memory(pressed: Reports) -> None:
    """It gets no more than its share; it was harmless when it was applied, too."""
    run = pressed.run_now(applied(pressed, subject="{{ 'x' * 10000000000 }}"))

    assert ("failed", "template") == (run.state, run.stage)
    assert "subject: needs more memory than a report may have" == run.error


def test_a_report_that_dies(pressed: Reports) -> None:
    """A process that ends without a word is told of as well."""
    pressed.press.python = "/bin/false"
    run = pressed.run_now(applied(pressed))

    assert ("failed", "the process that makes it ended (1)") == (run.state, run.error)


def test_a_profile_that_may_not_send_as_this(
    reports: Reports, plant: EmailProfiles, profile_document: Document, smtp_server: Any
) -> None:
    """What the outbox refuses is the run's error."""
    name = applied(reports)
    policy = {"from_addresses": ["other.example"]}
    plant.profiles.apply(profile_document(smtp_server, policy=policy), actor="test")
    run = reports.run_now(name)

    assert "failed" == run.state
    assert "may not send as reports@plant.example" in run.error


def test_the_host_is_not_held_up(reports: Reports) -> None:
    """While a report is made, other threads send; its rows are made in its thread."""
    begun, release = threading.Event(), threading.Event()

    def slow(occasion: Any) -> Table:
        def rows() -> Iterator[list[str]]:
            begun.set()
            release.wait(60)
            yield [threading.current_thread().name]

        return Table(["thread"], rows())

    reports.sources = {"levels": slow}
    name = applied(reports)
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(reports.run_now(name)))
    thread.start()
    try:
        assert begun.wait(60)
        running = reports.runs(name)[0].state
    finally:
        release.set()
        thread.join()

    assert ("running", "queued") == (running, made[0].state)


@pytest.mark.parametrize("format", ["xlsx", "csv", "html"])
def test_a_preview(reports: Reports, format: str) -> None:
    """The file alone; nothing is recorded or sent."""
    begin = {"xlsx": b"PK", "csv": b"\xef\xbb\xbfat,", "html": b"<!DOC"}
    name, made = reports.preview(applied(reports, to=["x@y.example"]), format)

    assert [] == [*(reports.profiles.home / "reports").iterdir()]
    assert name.endswith(f".{format}")
    assert made.startswith(begin[format])
    assert [] == [*reports.runs(), *reports.profiles.outbox.list()]


def test_what_is_not_there(reports: Reports) -> None:
    """No schedule, no run, no format of that name."""
    with pytest.raises(NotFound, match="there is no report schedule 'x'"):
        reports.run_now("x")
    with pytest.raises(NotFound, match="there is no run of a report 'x'"):
        reports.run("x")
    with pytest.raises(ReportFailed, match="'doc' is none of pdf, xlsx, csv, html"):
        reports.preview("x", "doc")
    with pytest.raises(Invalid, match=r"\$\.cron"):
        applied(reports, cron="never")


def test_the_database_password(pressed: Reports, tmp_path: Path) -> None:
    """It is opened for the process that asks, and is in no record and no error."""
    url = f"sqlite:///{tmp_path / 'missing.db'}"
    secret = "s3cret-of-the-database"
    source = {"url": url, "sql": "SELECT 1", "password": secret}
    run = pressed.run_now(applied(pressed, source=source))
    with sqlite3.connect(tmp_path / "home" / "email_profiles.db") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()

    assert "there is no database file" in run.error
    assert secret not in dump
    assert secret not in repr(run)


def test_not_our_own_database(reports: Reports, tmp_path: Path) -> None:
    """Whoever may edit a schedule can't read the outbox by it, by no name of it."""
    path = reports.profiles.database.place
    (tmp_path / "link.db").symlink_to(path)
    sql = "SELECT * FROM message"
    for url in (f"sqlite:///{path}", f"sqlite:///{tmp_path / 'link.db'}"):
        name = applied(reports, source={"url": url, "sql": sql})
        run = reports.run_now(name)

        assert ("failed", "source") == (run.state, run.stage)
        assert "this installation's own database" in run.error
        with pytest.raises(ReportFailed, match="own database"):
            reports.preview(name, "csv")
    uri = {"url": f"sqlite:///file:{path}?uri=true", "sql": sql}
    assert "not a URI" in reports.run_now(applied(reports, source=uri)).error


def test_the_process_ends_with_its_parent(reports: Reports, tmp_path: Path) -> None:
    """However that ends: its end of the pipe closes; nothing is left behind."""
    folder = tmp_path / "job"
    folder.mkdir()
    made = schedule_of(reports.profiles.report_schedules.get(applied(reports)))
    endless = evolve(made, body="{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3)
    job = Job(
        schedule=endless,
        occasion=occasion_of(made, BEGIN),
        folder=folder,
        spooled=spool(folder / "rows", Table(["a"], [[1]]), 1),
        password=None,
        formats=("csv",),
        in_mail=False,
        mailed=False,
        seconds=60,
        memory=MEMORY,
    )
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from {PRINTING} import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    process.communicate(pickle.dumps(job), timeout=60)

    assert 1 == process.returncode
    assert not folder.exists()


def test_without_the_extra(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said, and what to install."""
    name = applied(reports, cron="0 6 * * *")
    monkeypatch.setitem(sys.modules, "apscheduler.triggers.cron", None)
    run = reports.run_now(name)

    assert ("failed", "apscheduler.triggers.cron is not installed") == (
        run.state,
        run.error,
    )
    assert "pip install 'email-profiles-plugin[reports]'" == run.remedy
