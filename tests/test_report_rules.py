"""The document of a report schedule: every mistake, told when it is applied."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest

import email_profiles_schemas
from email_profiles_hookspecs.errors import InUse, Invalid
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.reports.queries import mistakes_of_sql
from email_profiles_plugin.consumers.reports.rules import of_schedule
from email_profiles_plugin.consumers.reports.schedule import schedule_from_document
from email_profiles_plugin.documents import validate_document

Open = Callable[..., EmailProfiles]

SQL = {"url": "sqlite:///plant.db", "sql": "SELECT at, level FROM level"}
LEAST: dict[str, Any] = {
    "name": "levels",
    "profile": "plant",
    "from_address": "reports@plant.example",
    "to": ["manager@plant.example"],
    "source": {"callable": "levels"},
}
PROFILE = {
    "name": "plant",
    "smtp": {"hostname": "127.0.0.1", "port": 2525},
    "auth": {"mode": "basic"},
}


def mistakes(**changes: Any) -> list[str]:
    document = {**LEAST, **changes}
    schema = email_profiles_schemas.load("report_schedule")
    return [str(one) for one in validate_document(document, schema, of_schedule)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to": ["x"]}, "$.to[0]: 'x' has no at sign"),
        ({"from_address": "a b@c"}, "$.from_address: "),
        ({"to": []}, "$.to: names nobody, and neither do cc, bcc and recipients_from"
                     " (give at least one recipient)"),
        ({"formats": []}, "$.formats: is empty, and the mail does not show the report"
                          " either (give a format, or set show_in_mail)"),
        ({"formats": ["doc"]}, "$.formats[0]: has to be one of pdf, xlsx, csv, html"),
        ({"source": {}}, "$.source: has neither callable nor sql (give exactly one of"
                         " them)"),
        ({"source": {**SQL, "callable": "x"}}, "$.source: has both callable and sql"
                                               " (give exactly one of them)"),
        ({"source": {"sql": "SELECT 1"}}, "$.source.url: is required where there is"
                                          " SQL"),
        ({"source": {**SQL, "url": "plant.db"}}, "$.source.url: is not a database URL"),
        ({"source": {**SQL, "url": "postgresql://reader:s3cret@h/db"}},
         "$.source.url: holds a password (leave it out here, and give it as password)"),
        ({"source": {**SQL, "url": "postgresql://reader:s3/cr?t@h/db"}},
         "$.source.url: holds a password (leave it out here, and give it as password)"),
        ({"source": {**SQL, "url": "mysql://h/db?a=1&PassWD=s3cret"}},
         "$.source.url: has PassWD, which may hold a password (leave it out here, and"
         " give the password as password)"),
        ({"source": {**SQL, "url": "mssql+pyodbc:///?odbc_connect=PWD%3Ds3@cret"}},
         "$.source.url: has odbc_connect, which may hold a password"),
        ({"source": {**SQL, "sql": "DELETE FROM level"}},
         "$.source.sql: begins with DELETE: a report only reads (begin with SELECT or"
         " WITH)"),
        ({"source": {**SQL, "sql": "SELECT 1; DROP TABLE level"}},
         "$.source.sql: holds more than one statement (leave out what follows the ;)"),
        ({"source": {**SQL, "sql": " -- nothing\n"}}, "$.source.sql: is empty (write a"
                                                     " query)"),
        ({"source": {**SQL, "sql": "SELECT :line"}}, "$.source.sql: names the parameter"
         " :line, which is not given (add it to parameters)"),
        ({"parameters": {"scheduled_at": 1}}, "$.parameters.scheduled_at: is the name"
         " of a parameter that is there anyway (choose another)"),
        ({"parameters": {"a b": 1}}, "$.parameters['a b']: has to be a name of letters,"
                                     " digits and underscores"),
        ({"recipients_from": {"callable": "a", "sql": "SELECT 1"}, "source": SQL},
         "$.recipients_from: has both callable and sql (keep one)"),
        ({"recipients_from": {"sql": "SELECT 1"}}, "$.source.url: is required where"
                                                   " there is SQL"),
        ({"chart": {"kind": "line", "x": "at"}}, "$.chart.y: is required where a chart"
         " is drawn (name a column of the report)"),
        ({"cron": "0 7 * * 8"}, "$.cron: day of week: 8 is more than 7 (for example"
         " 0 6 * * mon-fri: at 06:00 from Monday to Friday)"),
        ({"timezone": "Mars"}, "$.timezone: there is no time zone 'Mars'"),
        ({"subject": "{{ x }}"}, "$.subject: line 1: there is no 'x'"),
        ({"body": "{% if %}"}, "$.body: line 1: Expected an expression, got 'end of"
                               " statement block'"),
        ({"attachment_name": "{{ chart }}"}, "$.attachment_name: line 1: there is no"
                                             " 'chart'"),
        ({"template": "\n{{ nme }}"}, "$.template: line 2: there is no 'nme'; did you"
                                      " mean 'name'?"),
    ],
)  # fmt: skip
def test_a_mistake(changes: dict[str, Any], said: str) -> None:
    """What is wrong, where, and what to do."""
    (found,) = mistakes(**changes)

    assert found.startswith(said)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"to": [], "bcc": ["x@plant.example"]},
        {"to": [], "recipients_from": {"callable": "shift", "method": "bcc"}},
        {"formats": [], "show_in_mail": True},
        {"source": {**SQL, "sql": "WITH a AS (SELECT ';' AS x) SELECT * FROM a;"}},
        {"source": {**SQL, "sql": "SELECT a::text, ':x' /* ; :y */ FROM b -- :z"}},
        {"source": {**SQL, "sql": "SELECT :line, :scheduled_at, :previous_at"},
         "parameters": {"line": 4}},
        {"source": {**SQL, "url": "postgresql://reader@h:5432/db?application_name=pwd"}},
        {"source": {**SQL, "url": "sqlite:///C:/plant@north/a.db"}},
        {"source": {**SQL, "url": "postgresql://h/db",
                    "password": {"env": "PLANT_PASSWORD"}}},
        {"cron": "0 6 L * *", "timezone": "America/New_York"},
        {"template": "{{ chart }}", "chart": {"kind": "bar", "x": "a", "y": ["b"]}},
    ],
)  # fmt: skip
def test_no_mistake(changes: dict[str, Any]) -> None:
    """All of these are meant."""
    assert [] == mistakes(**changes)


def test_defaults() -> None:
    """The least document is a PDF to one person, when it is asked for."""
    schedule = schedule_from_document(LEAST, id="1", revision=1, updated_at=0)

    assert (None, "UTC", ("pdf",)) == (
        schedule.cron,
        schedule.timezone,
        schedule.formats,
    )
    assert ("levels", None) == (schedule.shown_title, schedule.retries)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said, and what to install."""
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("jinja2"):
            raise ImportError("No module named 'jinja2'", name="jinja2")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)

    assert [
        "$: can't be checked without jinja2"
        " (pip install 'email-profiles-plugin[reports]')"
    ] == mistakes(subject="{{ name }}")


def test_the_database_password_is_sealed(open_profiles: Open) -> None:
    """It is kept when the document is applied again, and not for another database."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(PROFILE, actor="test")
    secret = "s3cret-of-the-database"
    schedules = profiles.report_schedules
    source = {**SQL, "url": "postgresql://here/db"}
    document = {**LEAST, "source": {**source, "password": secret}}
    schedules.apply(document, actor="test")
    kept = schedules.get("levels").body["source"]["password"]
    again = schedules.apply({**LEAST, "source": source}, actor="test")
    moved = {**SQL, "url": "postgresql://elsewhere/db"}
    other = schedules.apply({**LEAST, "source": moved}, actor="test")

    assert ["sealed"] == list(kept)
    assert secret not in str(schedules.export("levels"))
    assert kept == again.stored.body["source"]["password"]
    assert "password" not in other.stored.body["source"]
    assert "source.url has changed" in str(other.warnings[0])


def test_the_profile_has_to_be_there(open_profiles: Open) -> None:
    """When it is applied; as long as it is named it can't be deleted."""
    profiles = open_profiles(deliver=False)
    with pytest.raises(Invalid, match="there is no email profile 'plant'"):
        profiles.report_schedules.apply(LEAST, actor="test")
    profiles.profiles.apply(PROFILE, actor="test")
    profiles.report_schedules.apply(LEAST, actor="test")

    with pytest.raises(InUse, match="is used by report schedule 'levels'"):
        profiles.profiles.delete("plant", actor="test", force=True)


@pytest.mark.parametrize(
    ("sql", "more"),
    [
        ("SELECT $a$;$a$, $b$;$b$", False),
        ("SELECT /* ; */ 1 /*/ ; */", False),
        ("SELECT a$b$c ; DELETE", True),
        ("SELECT 1 /* ; DELETE", True),
        ("SELECT " + "/* " * 100_000, False),
        ("SELECT " + " ".join(f"$a{n}$" for n in range(50_000)), False),
    ],
    ids=["dollars", "comments", "no-dollars", "open", "comments-open", "dollars-open"],
)
def test_what_is_not_closed_hides_nothing(sql: str, more: bool) -> None:
    """And however much of it there is, that is soon told."""
    said = [one for one, _ in mistakes_of_sql(sql)]

    assert (["holds more than one statement"] if more else []) == said
