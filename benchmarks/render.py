"""
What it costs to turn a request into octets, against the standard library.

Measures CPU time (process_time) per message, built from strings and flattened, for
three messages: 2 KB of ASCII text and HTML; the same with a non-ASCII subject and
bodies; and a short text with an attachment of 100 KB. Peers are EmailMessage with
policy SMTP, and MIMEMultipart, its predecessor. Every message has another recipient
and Message-ID, as mail has. Rounds are interleaved in shuffled order, since machines
are shared; the table gives medians, and medians of the ratios within a round.

    python benchmarks/render.py --rounds 15
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from email.utils import format_datetime
from statistics import median
from time import process_time

from email_profiles_hookspecs import Attachment, SendRequest
from email_profiles_plugin.message import render

DATE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SENDER = "Plant gateway <gateway@plant.example>"
MESSAGES = 40

LINE = "Tank 4 high: the level is 92 % of 12.5 m, the limit is 90 %, see the trend.\n"
ROW = "<tr><td>Tank 4</td><td>92 %</td><td>high</td><td>unacknowledged</td></tr>\n"
COLD = "Übertemperatur im Kühlraum: 87 °C, Grenzwert 80 °C, Störung quittieren.\n"
COLD_ROW = "<tr><td>Kühlraum</td><td>87 °C</td><td>Störung, unquittiert</td></tr>\n"
DATA = random.Random(4).randbytes(100 * 1024)

CASES: dict[str, SendRequest] = {
    "2 KB ASCII, text and HTML": SendRequest(
        profile="p",
        from_address=SENDER,
        subject="Tank 4 high: level is 92 %",
        text=LINE * 13,
        html=f"<table>\n{ROW * 13}</table>\n",
    ),
    "2 KB non-ASCII, text and HTML": SendRequest(
        profile="p",
        from_address=SENDER,
        subject="Übertemperatur im Kühlraum: 87 °C",
        text=COLD * 13,
        html=f"<table>\n{COLD_ROW * 13}</table>\n",
    ),
    "100 KB attachment": SendRequest(
        profile="p",
        from_address=SENDER,
        subject="Shift report",
        text=LINE,
        attachments=[Attachment(name="report.pdf", data=DATA)],
    ),
}


def ours(case: SendRequest, to: str, message_id: str) -> bytes:
    request = SendRequest(
        profile=case.profile,
        from_address=case.from_address,
        to=[to],
        subject=case.subject,
        text=case.text,
        html=case.html,
        attachments=case.attachments,
    )
    return render(request, date=DATE, message_id=message_id).octets


def email_message(case: SendRequest, to: str, message_id: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(DATE)
    message["From"] = case.from_address
    message["To"] = to
    message["Subject"] = case.subject
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(case.text)
    if case.html is not None:
        message.add_alternative(case.html, subtype="html")
    for attachment in case.attachments:
        message.add_attachment(
            attachment.data,
            maintype="application",
            subtype="pdf",
            filename=attachment.name,
        )
    return message.as_bytes()


def mime_multipart(case: SendRequest, to: str, message_id: str) -> bytes:
    text = MIMEText(case.text or "", "plain", "utf-8" if case.html else "us-ascii")
    message = MIMEMultipart("mixed" if case.attachments else "alternative")
    message["Date"] = format_datetime(DATE)
    message["From"] = case.from_address
    message["To"] = to
    message["Subject"] = case.subject
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.attach(text)
    if case.html is not None:
        message.attach(MIMEText(case.html, "html"))
    for attachment in case.attachments:
        part = MIMEApplication(attachment.data, "pdf")
        part.add_header("Content-Disposition", "attachment", filename=attachment.name)
        message.attach(part)
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


BUILDERS: dict[str, Callable[[SendRequest, str, str], bytes]] = {
    "render": ours,
    "MIMEMultipart": mime_multipart,
    "EmailMessage": email_message,
}


def measure(builder: str, case: str, first: int) -> float:
    """Microseconds of CPU a message."""
    build, request = BUILDERS[builder], CASES[case]
    names = [
        (f"operator{number}@plant.example", f"<m{number}@plant.example>")
        for number in range(first, first + MESSAGES)
    ]
    start = process_time()
    for to, message_id in names:
        build(request, to, message_id)
    return (process_time() - start) / MESSAGES * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = max(1, parser.parse_args().rounds)
    found: dict[tuple[str, str], list[float]] = {}
    runs = [(builder, case) for case in CASES for builder in BUILDERS]
    for number in range(rounds + 1):
        random.shuffle(runs)
        for builder, case in runs:
            cost = measure(builder, case, number * MESSAGES)
            if number:  # the first round warms up
                found.setdefault((builder, case), []).append(cost)
    print(f"{'message':32}{'builder':16}{'us a message':>13}{'x EmailMessage':>16}")
    for case in CASES:
        for builder in BUILDERS:
            costs, peers = found[builder, case], found["EmailMessage", case]
            ratio = median(peer / cost for peer, cost in zip(peers, costs, strict=True))
            print(f"{case:32}{builder:16}{median(costs):13.1f}{ratio:16.1f}")


if __name__ == "__main__":
    main()
