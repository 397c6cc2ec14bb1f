"""Acknowledging from the mail: links that open pages, and a form that acknowledges."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
import uvicorn
from alarm_bench import ANNA, BERT, START, Bench, SetClock, event, later
from attrs import define, field
from chromium import driven_chromium
from sqlalchemy import insert
from starlette.applications import Starlette
from starlette.routing import Mount

from email_profiles_hookspecs.errors import StoreUnavailable
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import (
    Acknowledgement,
    AlarmNotifier,
    acknowledgement_app,
)
from email_profiles_plugin.consumers.alarms.pages import HEADERS
from email_profiles_plugin.store.alarm_tables import alarm_acknowledgement

Open = Callable[..., EmailProfiles]


@define(eq=False)
class Host:
    """Takes acknowledgements, unless it is `busy`."""

    taken: list[Acknowledgement] = field(factory=list)
    busy: bool = False
    hangs: threading.Event = field(factory=threading.Event)
    told: threading.Event = field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        self.hangs.set()

    def take(self, acknowledgement: Acknowledgement) -> None:
        self.told.set()
        assert self.hangs.wait(30)
        if self.busy:
            raise RuntimeError("the gateway restarts")
        self.taken.append(acknowledgement)


@define(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@define(eq=False)
class Site:
    """The pages, mounted below /plant/alarms of a server on loopback."""

    bench: Bench
    host: Host
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/plant/alarms"

    def send(self, *ids: str, **changes: Any) -> str:
        """Have events told of; the link in Anna's mail."""
        link = {"url": self.url, **changes.pop("acknowledgement", {})}
        gather = {"consolidation": {}, "acknowledgement": link}
        self.bench.apply(**gather, **changes)
        self.bench.notify(*(event(id, label="<b>hot</b>") for id in ids))
        return self.links()[ANNA]

    def links(self) -> dict[str, str]:
        """The links in new mails, by recipient."""
        found = {}
        for mail in self.bench.mails():
            (found[mail["to"][0]],) = re.findall(r"http://\S+", mail["text"])
        return found

    def ask(self, method: str, url: str, body: str = "", **headers: str) -> Answer:
        """One request, as any program sends it; nothing is followed."""
        parts = urlsplit(url)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        if body:
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, body or None, headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, text)

    def post(self, url: str, note: str = "", **headers: str) -> Answer:
        return self.ask("POST", url, urlencode({"note": note}), **headers)


@pytest.fixture
def site(open_profiles: Open) -> Iterator[Site]:
    clock, host = SetClock(), Host()
    bench = Bench(open_profiles(deliver=False, clock=clock), clock)
    bench.alarms = AlarmNotifier(profiles=bench.profiles, acknowledged=host.take)
    pages = acknowledgement_app(bench.alarms)
    app = Starlette(routes=[Mount("/plant/alarms", pages)])
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none")
    )
    listener = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Site(bench, host, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def acknowledged(site: Site) -> list[tuple[str, str, list[str]]]:
    assert site.bench.alarms._telling.wait(30)
    return [
        (one.who, one.note, [event.id for event in one.events])
        for one in site.host.taken
    ]


def test_a_link_shows_and_a_form_acknowledges(site: Site) -> None:
    """The host is told who, what and why; the page says so from then on."""
    link = site.send("1", "2")
    before = site.ask("GET", link)
    posted = site.post(link, "on my way <i>")
    acknowledged(site)
    after = site.ask("GET", urljoin(link, posted.headers["location"]))

    assert (200, 303, 200) == (before.status, posted.status, after.status)
    assert "<form" in before.body
    assert "<form" not in after.body
    assert [(ANNA, "on my way <i>", ["1", "2"])] == acknowledged(site)
    assert "night-shift" == site.host.taken[0].notification
    assert f"Acknowledged by {ANNA} at 2026-11-24 12:00:00" in after.body
    assert "on my way &lt;i&gt;" in after.body
    assert "<b>hot" not in before.body + after.body
    assert [ANNA, ANNA] == [one.acknowledged_by for one in site.bench.alarms.trail()]


def test_twice_is_once(site: Site) -> None:
    """Whoever is second, by this link or another one, changes nothing."""
    anna = site.send("1", "2", recipients=[ANNA, BERT])
    site.bench.seen.clear()
    bert = site.links()[BERT]
    site.post(bert, "first")
    again = [site.post(link, "second").status for link in (bert, anna)]

    assert [303, 303] == again
    assert [(BERT, "first", ["1", "2"])] == acknowledged(site)
    assert f"Acknowledged by {BERT}" in site.ask("GET", anna).body


def test_a_link_is_for_its_own_mail(site: Site) -> None:
    """One mail's link is for what that mail tells of."""
    first = site.send("1")
    second = site.send("2")
    site.post(first)
    site.post(second)

    assert [(ANNA, "", ["1"]), (ANNA, "", ["2"])] == acknowledged(site)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_scanner_acknowledges_nothing(site: Site, method: str) -> None:
    """However often it opens a link, and whatever else the page leads to."""
    link = site.send("1")
    opened = [link, *(urljoin(link, one) for one in leads(site.ask("GET", link).body))]
    statuses = [site.ask(method, one).status for one in opened * 3]

    assert [200] * 6 == statuses
    assert [] == site.host.taken
    assert "<form" in site.ask("GET", link).body


def leads(page: str) -> list[str]:
    """Every address that a page has, but of its form."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: Any) -> None:
            found.extend(value for name, value in attributes if name in ("href", "src"))

    Reader().feed(page)
    return found


def test_head_is_like_get(site: Site) -> None:
    """The same status and header fields, without the body."""
    link = site.send("1")
    for url in (link, f"{site.url}/acknowledge.css", f"{site.url}/acknowledge"):
        got, head = site.ask("GET", url), site.ask("HEAD", url)
        for answer in (got, head):
            answer.headers.pop("date")
        assert (got.status, got.headers, "") == (head.status, head.headers, head.body)


def test_pages_are_strict(site: Site) -> None:
    """No script, no style in the page, no cookie, no referrer, nothing kept."""
    link = site.send("1")
    for answer in (site.ask("GET", link), site.ask("GET", f"{site.url}/acknowledge")):
        assert (
            HEADERS.items()
            <= {name: answer.headers[name.lower()] for name in HEADERS}.items()
        )
        assert "set-cookie" not in answer.headers
        assert not re.search(r"<script|<style| style=| on\w+=", answer.body)


@pytest.mark.parametrize(
    ("seconds", "change", "status", "title"),
    [
        (86_399, "", 200, "Acknowledge alarms"),
        (86_400, "", 410, "Link expired"),
        (0, "x", 404, "Unknown link"),
    ],
)
def test_a_link_that_is_none(
    site: Site, seconds: float, change: str, status: int, title: str
) -> None:
    """Expired or forged, it shows nothing and does nothing."""
    link = site.send("1")
    site.bench.clock.seconds = seconds
    got = site.ask("GET", link + change)
    posted = site.post(link + change)

    assert status == got.status
    assert f"<h1>{title}</h1>" in got.body
    assert (303 if status == 200 else status) == posted.status
    assert (status == 200) == bool(acknowledged(site))
    assert (status == 200) == ("High 1" in got.body)


def test_a_link_that_outlasts_the_retention(site: Site) -> None:
    """What it is for is kept as long as it can be used."""
    link = site.send("1", acknowledgement={"valid_s": 90 * 86_400})
    site.post(link, "seen")
    found = []
    for days in (31, 89, 121):
        site.bench.due(days * 86_400)
        found.append(site.ask("GET", link))

    assert [200, 200, 404] == [one.status for one in found]
    assert all(f"Acknowledged by {ANNA}" in one.body for one in found[:2])
    assert [] == site.bench.alarms.trail()


def test_a_link_is_its_recipient_s(site: Site) -> None:
    """Each mail has a link of its own, which the newest key signs."""
    anna = site.send("1", recipients=[ANNA, BERT])
    site.bench.seen.clear()
    bert = site.links()[BERT]
    site.bench.profiles.rotate_key(actor="test")
    still = site.ask("GET", bert).status
    site.bench.profiles.retire_key(actor="test")

    assert anna != bert
    assert (200, 404) == (still, site.ask("GET", bert).status)


def test_a_note_that_is_wanted(site: Site) -> None:
    """Where the document asks for one, an empty one is sent back with the reason."""
    link = site.send("1", acknowledgement={"note": "required"})
    empty, long = site.post(link, "  "), site.post(link, "x" * 1001)
    huge = site.post(link, "x" * 20_000)
    many = site.ask("POST", link, "x=1&" * 30)

    assert (422, 422) == (empty.status, long.status)
    assert (413, 413) == (huge.status, many.status)
    assert "The note is required." in empty.body
    assert "The note has 1001 characters; 1000 are allowed." in long.body
    assert [] == site.host.taken
    assert 303 == site.post(link, "seen").status


def test_a_form_of_another_site(site: Site) -> None:
    """A page elsewhere can't send the form, even if it knows the link."""
    link = site.send("1")
    refused = site.post(link, **{"Sec-Fetch-Site": "cross-site"})

    assert (403, []) == (refused.status, site.host.taken)
    assert 303 == site.post(link, **{"Sec-Fetch-Site": "same-origin"}).status


def test_a_host_that_is_busy(site: Site) -> None:
    """The acknowledgement stands, and the host is told until it takes it."""
    link = site.send("1")
    site.host.busy = True
    assert 303 == site.post(link, "mine").status
    assert f"Acknowledged by {ANNA}" in site.ask("GET", link).body
    assert [] == acknowledged(site)
    site.host.busy = False
    site.bench.due(29)
    assert [] == acknowledged(site)
    site.bench.due(30)
    acknowledged(site)
    site.bench.due(90)

    assert [(ANNA, "mine", ["1"])] == acknowledged(site)


def test_a_host_that_hangs(site: Site) -> None:
    """No page and no mail waits for it; what was acknowledged meanwhile follows."""
    first, second = site.send("1"), site.send("2")
    site.host.hangs.clear()
    assert 303 == site.post(first).status
    assert site.host.told.wait(30)
    assert 303 == site.post(second).status
    site.bench.apply(consolidation={"delay_s": 10})
    site.bench.notify(event("3"))

    assert (1, []) == (site.bench.due(10), site.host.taken)
    site.host.hangs.set()
    assert [(ANNA, "", ["1"]), (ANNA, "", ["2"])] == acknowledged(site)


def test_what_a_host_never_takes(site: Site) -> None:
    """A hundred of these hold up nothing: neither what is new nor what failed once."""
    bench, taken = site.bench, list[str]()
    busy = True

    def take(one: Acknowledgement) -> None:
        if busy or int(one.who) <= 100:
            raise KeyError("no such alarm")
        taken.append(one.who)

    rows = [
        {
            "id": str(at),
            "mail_id": "",
            "who": str(at),
            "note": "",
            "at": START.timestamp() + at,
            "error": "",
        }
        for at in range(1, 104)
    ]
    insert_some = insert(alarm_acknowledgement)
    bench.profiles.database.write(lambda c: c.execute(insert_some, rows[:-1]))
    host = AlarmNotifier(profiles=bench.profiles, acknowledged=take)
    for seconds in (0, 40):
        bench.clock.seconds = seconds
        host.due()
        assert host._telling.wait(30)
    busy = False
    bench.profiles.database.write(lambda c: c.execute(insert_some, rows[-1:]))
    bench.clock.seconds = 80
    host.due()
    assert host._telling.wait(30)

    assert ["103", "101", "102"] == taken


def test_pages_of_another_process(site: Site, open_profiles: Open) -> None:
    """They may have no host: it is told where there is one."""
    link = site.send("1")
    elsewhere = AlarmNotifier(profiles=open_profiles(deliver=False, clock=SetClock()))
    page = elsewhere.acknowledging.acknowledge(link.partition("alarm=")[2], "there")

    assert ("done", []) == (page.state, site.host.taken)
    site.bench.due(1)
    assert [(ANNA, "there", ["1"])] == acknowledged(site)


def test_an_acknowledgement_ends_the_wait_of_others(site: Site) -> None:
    """Whoever has not had their turn is not woken any more."""
    roster = [
        {"name": "Anna", "addresses": [ANNA]},
        {"name": "Bert", "addresses": [BERT]},
    ]
    link = site.send("1", recipients=[], roster=roster, delay_between_messages_s=60)
    site.post(link)

    assert 0 == site.bench.due(60)
    assert {("1", "Bert"): "acknowledged meanwhile"} == site.bench.reasons()


def test_no_link_where_there_is_nothing_to_acknowledge(site: Site) -> None:
    """An alarm that is acknowledged already has none."""
    site.bench.apply(
        acknowledgement={"url": site.url}, filter={"transitions": ["ack", "clear"]}
    )
    site.bench.notify(later("1", "ack", acked=True), later("2", "clear", active=False))
    mails = site.bench.mails()

    assert [False, True] == ["http" in mail["text"] for mail in mails]


def test_a_store_that_is_out_of_reach(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says so, and that nothing was done."""
    link = site.send("1")

    def locked(*_: object) -> None:
        raise StoreUnavailable("the database is locked")

    monkeypatch.setattr(site.bench.profiles.database.__class__, "read", locked)
    answers = site.ask("GET", link), site.post(link)

    assert [503, 503] == [answer.status for answer in answers]
    assert all("Nothing was acknowledged" in answer.body for answer in answers)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with driven_chromium(tmp_path_factory.mktemp("chromium")) as driven:
        yield driven


def test_in_chromium(site: Site, chromium: Any) -> None:
    """A person acknowledges after a scanner was there before; no script is needed."""
    from selenium.webdriver.common.by import By

    link = site.send("1", "2", acknowledgement={"note": "required"})
    scanner = {"User-Agent": "scanner", "Sec-Purpose": "prefetch"}
    for url in (
        link,
        *(urljoin(link, one) for one in leads(site.ask("GET", link).body)),
    ):
        for method in ("HEAD", "GET"):
            site.ask(method, url, **scanner)
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    chromium.get(link)
    heading = chromium.find_element(By.TAG_NAME, "h1").text
    rows = chromium.find_elements(By.CSS_SELECTOR, "tbody tr")
    edge = rows[0].find_element(By.TAG_NAME, "td")
    assert ("Acknowledge alarms", 2, []) == (heading, len(rows), site.host.taken)
    assert "0px" != edge.value_of_css_property("border-left-width")

    chromium.find_element(By.ID, "note").send_keys("Pump stopped, ünterwegs")
    chromium.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    said = chromium.find_element(By.CLASS_NAME, "acknowledged").text

    assert "Acknowledged" == chromium.find_element(By.TAG_NAME, "h1").text
    assert said.endswith("Pump stopped, ünterwegs")
    assert [(ANNA, "Pump stopped, ünterwegs", ["1", "2"])] == acknowledged(site)
    chromium.refresh()
    assert 1 == len(site.host.taken)


def test_a_missing_extra_is_named() -> None:
    """Without Starlette the pages say what to install; the rest works without it."""
    program = (
        "import sys; sys.modules['starlette'] = None\n"
        "from email_profiles_plugin.consumers.alarms import AlarmNotifier\n"
        "from email_profiles_plugin.consumers.alarms import acknowledgement_app\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert "line 3" in done.stderr
    assert "pip install 'email-profiles-plugin[console]'" in done.stderr
