"""Templates of alarm mails: substitution, patterns of dates and numbers, links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import email_profiles_schemas
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import AlarmEvent, links
from email_profiles_plugin.consumers.alarms.mail import (
    Digest,
    Recipient,
    compose,
)
from email_profiles_plugin.consumers.alarms.notification import from_document
from email_profiles_plugin.consumers.alarms.patterns import (
    date_pattern_mistake,
    format_date,
    format_number,
    is_number_pattern,
)
from email_profiles_plugin.consumers.alarms.templates import (
    OF_AN_EVENT,
    OF_BOTH,
    OF_SEVERAL,
    fill,
    mistakes,
    parse,
    values_of,
    written,
)
from email_profiles_plugin.documents import with_defaults
from email_profiles_plugin.kinds import Kind
from email_profiles_plugin.message import render

Cases = pytest.mark.parametrize
AT = datetime(2026, 3, 9, 14, 5, 7, 89_000, UTC)
EVENT = AlarmEvent(
    id="4711",
    source="plant/tank/4",
    name="High {name}",
    active=True,
    transition="active",
    priority="Critical",
    event_time=AT,
    event_value=1234.565,
    notes="50 % {eventTime|HH}",
    data={"area": "North", "limit": 90, "x.y": True},
)


@Cases(
    ("pattern", "expected"),
    [
        ("HH:mm:ss", "14:05:07"),
        ("hh:mm a", "02:05 PM"),
        ("h.mm K k", "2.05 2 14"),
        ("yyyy-MM-dd", "2026-03-09"),
        ("d.M.yy", "9.3.26"),
        ("y", "2026"),
        ("EEE, d MMM yyyy", "Mon, 9 Mar 2026"),
        ("EEEE d MMMM", "Monday 9 March"),
        ("u D", "1 68"),
        ("ss.SSS", "07.089"),
        ("HH:mm z", "14:05 UTC"),
        ("HH:mmZ", "14:05+0000"),
        ("HH:mmX", "14:05Z"),
        ("HH 'o''clock' ''mm''", "14 o'clock '05'"),
        ("yyyy-MM-dd'T'HH:mm", "2026-03-09T14:05"),
        ("dd/MM|HH", "09/03|14"),
    ],
)
def test_date_pattern(pattern: str, expected: str) -> None:
    """As java.text.SimpleDateFormat has it, in English."""
    assert ("", expected) == (date_pattern_mistake(pattern), format_date(AT, pattern))


@Cases(
    ("zone", "pattern", "expected"),
    [
        ("Europe/Berlin", "HH:mm zZX", "15:05 CET+0100+01:00"),
        ("America/St_Johns", "HH:mmZ", "11:35-0230"),
        ("Asia/Kathmandu", "HH:mmX", "19:50+05:45"),
    ],
)
def test_dates_are_written_in_a_zone(zone: str, pattern: str, expected: str) -> None:
    """The zone of the alarm notification, whatever the event's time came in."""
    template = parse(f"{{eventTime|{pattern}}}")

    assert expected == fill(template, {"eventTime": AT}, ZoneInfo(zone))


@Cases(
    ("pattern", "said"),
    [
        ("HH:mm 'oclock", "a quote that is not closed"),
        ("HH:nn", "n, which stands for nothing"),
        ("Q", "Q, which stands for nothing"),
    ],
)
def test_a_date_pattern_that_is_wrong(pattern: str, said: str) -> None:
    """It is told when the document is applied, not when an alarm comes."""
    assert said in date_pattern_mistake(pattern)


@Cases(
    ("pattern", "value", "expected"),
    [
        ("0", 1234.5, "1234"),
        ("0", 1235.5, "1236"),
        ("0.0", 0.25, "0.2"),
        ("#,##0.00", 1234567.891, "1,234,567.89"),
        ("#,##0.00", -0.5, "-0.50"),
        ("#,##0", 0, "0"),
        ("0.0#", 2.5, "2.5"),
        ("0.0#", 2.567, "2.57"),
        ("#.##", 0.5, ".5"),
        ("#", 0, "0"),
        ("0000", 42, "0042"),
        ("0,000", 42, "0,042"),
        ("0.00", float("inf"), "inf"),
        ("0.00", 1e300, "1e+300"),
        ("0.0", 3.4028e38, "340280000000000000000000000000000000000.0"),
        ("0.0", 10**40, "10000000000000000000000000000000000000000.0"),
    ],
)
def test_number_pattern(pattern: str, value: float, expected: str) -> None:
    """As java.text.DecimalFormat has it; what has no digits stays as it is."""
    assert (True, expected) == (
        is_number_pattern(pattern),
        format_number(value, pattern),
    )


@Cases("pattern", ["", "abc", "0.0.0", "#%", "0-0", "."])
def test_a_number_pattern_that_is_wrong(pattern: str) -> None:
    """Only digits, places, a comma and a point make one."""
    assert not is_number_pattern(pattern)


@Cases(
    ("text", "expected"),
    [
        ("{name}: {eventState}", "High {name}: Active"),
        ("{eventTime|HH:mm:ss}", "14:05:07"),
        ("{eventTime}", "2026-03-09 14:05:07"),
        ("{displayPath}|{displayPathOrSource}", "|plant/tank/4"),
        ("{eventValue}, {eventValue|#,##0.0}", "1234.565, 1,234.6"),
        ("{isaState} {isActive} {isAcked}", "UNACK true false"),
        ("{data.area} {data.limit|0.0} {data.x.y}{data.none}", "North 90.0 true"),
        ("{{name}} and {{{name}}}", "{name} and {High {name}}"),
        ("{notes}", "50 % {eventTime|HH}"),
        ("no placeholder % $x", "no placeholder % $x"),
        ("", ""),
    ],
)
def test_substitution(text: str, expected: str) -> None:
    """What is put in is not looked at again; nothing is evaluated."""
    values = values_of(EVENT)

    assert [] == list(mistakes(text, OF_AN_EVENT))
    assert expected == fill(parse(text), values, ZoneInfo("UTC"))


@Cases(
    ("value", "pattern", "expected"),
    [
        (1e38, f"0.{'0' * 90}", "1e+38"),
        (datetime(1, 1, 1, tzinfo=UTC), "", "0001-01-01 00:00:00"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "HH", "23"),
    ],
)
def test_what_can_t_be_written_is_written_plainly(
    value: object, pattern: str, expected: str
) -> None:
    """No number and no time, however large, stops the message that it is in."""
    zones = {ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")}

    assert expected in {written(value, pattern, zone) for zone in zones}


@Cases(
    ("text", "said"),
    [
        ("{nam}", "has no placeholder {nam}: did you mean {name}?"),
        ("{name.__class__}", "has no placeholder {name.__class__}"),
        ("{0}", "has no placeholder {0}"),
        ("{}", "has no placeholder {}"),
        ("{name!r}", "has no placeholder {name!r}: did you mean {name}?"),
        ("{data.}", "has no placeholder {data.}"),
        ("{name|HH}", "{name|HH} takes no pattern"),
        ("{eventTime|}", "{eventTime|} has an empty pattern"),
        ("{eventTime|nn}", "{eventTime|nn} has n, which stands for nothing in a date"),
        ("{eventValue|HH}", "{eventValue|HH} is no pattern for a number"),
        ("a { b", "has a { that belongs to no placeholder: write it twice"),
        ("a } b", "has a } that belongs to no placeholder: write it twice"),
    ],
)
def test_a_template_that_is_wrong(text: str, said: str) -> None:
    """The mistake is told in a sentence."""
    (mistake,) = mistakes(text, OF_AN_EVENT)

    assert mistake.startswith(said)


@given(st.text(alphabet="{}|'#0.aHn d", max_size=20), st.text())
def test_any_template_is_wrong_or_can_be_filled(text: str, value: str) -> None:
    """What passes the check when a document is applied fails no alarm later."""
    if not [*mistakes(text, ("a", "eventTime", "n"))]:
        fill(parse(text), {"a": value, "n": 3, "eventTime": AT}, ZoneInfo("UTC"))


@given(
    st.lists(
        st.builds(
            AlarmEvent,
            id=st.text(min_size=1),
            source=st.text(),
            name=st.text(),
            label=st.text(),
            active=st.just(True),
            transition=st.just("active"),
            event_time=st.datetimes(timezones=st.just(UTC)),
            event_value=st.text() | st.floats(),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_an_event_says_can_be_sent(events: list[AlarmEvent]) -> None:
    """No alarm is lost to a line end in a name, or to half a character."""
    request = composed(
        events,
        subject="{name} {label} {eventValue}",
        message="{id}\n{source}\n{eventValue|0.0}",
        consolidated_line="{name} {label} {source}",
    )
    rendered = render(request, date=AT, message_id="<a@plant.example>")

    assert request.subject.isprintable()
    assert b"From: gateway@plant.example\r\n" in rendered.octets


def composed(events: list[AlarmEvent], link: str = "", **changes: Any) -> Any:
    """The request for a mail of *events*."""
    document = {
        "name": "night-shift",
        "profile": "plant-alerts",
        "from_address": "gateway@plant.example",
        **changes,
    }
    schema = email_profiles_schemas.load("alarm_notification")
    notification = from_document(with_defaults(document, schema), id="1", revision=1)
    digest = Digest(
        count=len(events),
        events=tuple(events),
        by_transition={"active": len(events)},
        rank=max(one.rank for one in events),
        first=min(one.event_time for one in events),
        last=max(one.event_time for one in events),
    )
    recipient = Recipient(who="Anna", addresses=("anna@plant.example",), link=link)
    return compose(
        notification,
        digest,
        recipient,
        profile="plant-alerts",
        key="k",
        made_at=AT,
    )


@Cases(
    ("priority", "expected"),
    [("Diagnostic", 5), ("Low", 4), ("Medium", 3), ("High", 2), ("Critical", 1)],
)
def test_priority_and_lane(priority: Any, expected: int) -> None:
    """The alarm's priority is the message's; alarms go before other mail."""
    one = AlarmEvent(
        id="1", active=True, transition="active", event_time=AT, priority=priority
    )
    request = composed([one], expires_s=600)

    assert (expected, "alarm") == (request.priority, request.lane)
    assert datetime(2026, 3, 9, 14, 15, 7, 89_000, UTC) == request.not_after


def test_the_default_message() -> None:
    """That of Ignition for one event, and a list for several."""
    one = composed([EVENT])
    two = composed([EVENT, EVENT])

    assert 'Alarm "High {name}" at "plant/tank/4": Active' == one.subject
    assert (
        'At 14:05:07, alarm "High {name}" at "plant/tank/4" transitioned to Active.\n'
        == one.text
    )
    assert "2 alarm events, the most urgent Critical" == two.subject
    line = '14:05:07 Critical: "High {name}" at "plant/tank/4" Active\n'
    assert two.text.endswith(f":07:\n\n{line}{line}")


def test_an_override_has_its_own_words() -> None:
    """The first that fits an alarm; what it leaves out is as for all."""
    request = composed(
        [EVENT],
        overrides=[
            {"names": ["Low*"], "subject": "not this one"},
            {"sources": ["plant/tank/*"], "subject": "Tank {data.area}"},
            {"subject": "nor this one"},
        ],
    )

    assert "Tank North" == request.subject
    assert request.text.startswith("At 14:05:07, alarm")


def test_the_link_follows_the_message_or_is_put_in() -> None:
    """A template decides where the link stands; else it is the last line."""
    after = composed([EVENT], "https://plant.example/a", message="{name}\n")
    within = composed(
        [EVENT], "https://plant.example/a", message="See {acknowledge}, {recipient}."
    )

    assert "High {name}\n\nAcknowledge: https://plant.example/a\n" == after.text
    assert "See https://plant.example/a, Anna." == within.text


KEYS = (b"new" * 8, b"old" * 8)
MAIL = "0123456789abcdef0123456789abcdef"


def test_a_link_opens_with_the_keys_that_there_are() -> None:
    """Signed with the newest key; older keys, until they are retired, open it too."""
    new, old = (links.sign(key, MAIL, 1000) for key in KEYS)

    assert ("good", MAIL) == (links.read(KEYS, new, 999).state, MAIL)
    assert "good" == links.read(KEYS, old, 999).state
    assert "forged" == links.read(KEYS[:1], old, 999).state
    assert "expired" == links.read(KEYS, new, 1000).state
    assert MAIL == links.read(KEYS, new, 1000).mail_id


@given(st.data())
def test_a_link_that_was_tampered_with_opens_nothing(data: st.DataObject) -> None:
    """No other text than the token itself does."""
    token = links.sign(KEYS[0], MAIL, 1000)
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.characters())
    other = data.draw(
        st.sampled_from([token[:at] + put + token[at + 1 :], token[:at], token + put])
    )

    assert (other == token) == ("good" == links.read(KEYS, other, 0).state)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        {"subject": "{nam}"},
        "$.subject",
        "has no placeholder {nam}: did you mean {name}?",
    ),
    (
        {"subject": "{alarmEvents.Count}"},
        "$.subject",
        "has no placeholder {alarmEvents.Count}",
    ),
    (
        {"consolidated_message": "{name}"},
        "$.consolidated_message",
        "has no placeholder {name}",
    ),
    (
        {"consolidated_line": "{acknowledge}"},
        "$.consolidated_line",
        "has no placeholder {acknowledge}",
    ),
    (
        {"overrides": [{"message": "{x}"}]},
        "$.overrides[0].message",
        "has no placeholder {x}",
    ),
    ({"subject": "a\nb"}, "$.subject", "may not have several lines"),
    ({"from_address": "nobody"}, "$.from_address", "'nobody' has no at sign"),
    ({"recipients": ["a@x.example", "b@"]}, "$.recipients[1]", "'b@' has no domain"),
    (
        {"roster": [{"name": "A", "addresses": ["b"]}]},
        "$.roster[0].addresses[0]",
        "'b' has no at sign",
    ),
    ({"roster": [{"name": "A"}, {"name": "A"}]}, "$.roster[1].name", "is there twice"),
    (
        {"roster": [{"name": "A", "schedule": "s"}]},
        "$.roster[0].schedule",
        "there is no schedule 's'",
    ),
    (
        {"recipients": ["a@x.example"], "roster": [{"name": "a@x.example"}]},
        "$.roster[0].name",
        "is the address of a recipient, who would be taken for this person",
    ),
    (
        {"time_zone": "Mars/Base"},
        "$.time_zone",
        "'Mars/Base' is no time zone that is known here",
    ),
    (
        {"time_zone": "../../etc"},
        "$.time_zone",
        "'../../etc' is no time zone that is known here",
    ),
    (
        {"acknowledgement": {"url": "http://plant.example"}},
        "$.acknowledgement.url",
        "has to be an https address",
    ),
    (
        {"acknowledgement": {"url": "https://plant.example/?a"}},
        "$.acknowledgement.url",
        "may not have a query",
    ),
    ({"throttle": {}}, "$.throttle.most", "is required"),
    (
        {"consolidation": {"delay": 3}},
        "$.consolidation.delay",
        "is not a property here; did you mean 'delay_s'?",
    ),
    (
        {"profile": None},
        "$.smtp",
        "is required (name an email profile as profile, or give smtp and auth)",
    ),
    (
        {"smtp": {"hostname": "m"}},
        "$.smtp",
        "is not used where an email profile is named",
    ),
]


@pytest.fixture(scope="module")
def kind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    """What is particular to alarm notifications."""
    home = tmp_path_factory.mktemp("home")
    with EmailProfiles.open(home, only=(), deliver=False) as profiles:
        yield profiles.alarm_notifications.kind


@Cases(("changes", "path", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_document_that_is_wrong(
    kind: Kind, changes: dict[str, Any], path: str, said: str
) -> None:
    """It is refused when it is applied, in a sentence with its place."""
    document = {
        "name": "night-shift",
        "profile": "plant-alerts",
        "from_address": "gateway@plant.example",
        **changes,
    }
    found = kind.validate(document)
    (problem,) = (one for one in found if one.path != "$.auth")

    assert path == problem.path
    assert said in str(problem)


def test_placeholders_are_documented() -> None:
    """The page names every one of them."""
    page = Path(__file__).parents[1] / "docs" / "how-to" / "alarm-notification.md"
    text = page.read_text("utf-8")
    known = (*OF_AN_EVENT, *OF_BOTH, *OF_SEVERAL)

    assert [] == [name for name in known if f"`{{{name}}}`" not in text]


def test_a_schedule_that_is_wrong(
    open_profiles: Callable[..., EmailProfiles],
) -> None:
    """Times, dates, days and zones are looked at, and all mistakes told."""
    profiles = open_profiles(deliver=False)
    schedule = {
        "name": "s",
        "time_zone": "Nowhere",
        "hours": [
            {"days": ["Montag"], "from": "24:00", "to": "25:00"},
            {"from": "1:00"},
        ],
        "holidays": ["2026-02-30", "Easter"],
    }
    document = {
        "name": "n",
        "profile": "p",
        "from_address": "a@x.example",
        "recipients": ["a@x.example"],
        "schedules": [schedule],
    }
    with pytest.raises(Invalid) as refused:
        profiles.alarm_notifications.apply(document, actor="test")

    assert {
        "$.profile": "there is no email profile 'p'",
        "$.schedules[0].time_zone": "'Nowhere' is no time zone that is known here",
        "$.schedules[0].hours[0].days[0]": "has to be one of monday, tuesday,"
        " wednesday, thursday, friday, saturday, sunday",
        "$.schedules[0].hours[0].from": "is the end of a day",
        "$.schedules[0].hours[0].to": "has to be a time such as 18:30",
        "$.schedules[0].hours[1].from": "has to be a time such as 18:30",
        "$.schedules[0].hours[1].to": "is required",
        "$.schedules[0].holidays[0]": "is no date",
        "$.schedules[0].holidays[1]": "has to be a date such as 2026-12-25",
    } == {one.path: one.message for one in refused.value.problems}
