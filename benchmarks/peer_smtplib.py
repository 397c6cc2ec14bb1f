"""The standard library's client: EmailMessage and smtplib, one kept connection."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable

from loopback import HOST
from render import CASES, SENDER, email_message
from work import TOKEN, USER, Job, message_id, perform, recipients


def connect(job: Job) -> smtplib.SMTP:
    """Greeted and signed in. With a name for EHLO, which saves it a look-up."""
    if job.ca_file is None:
        return smtplib.SMTP(HOST, job.port, local_hostname="client.plant.example")
    context = ssl.create_default_context(cafile=job.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    server = smtplib.SMTP_SSL(
        HOST, job.port, local_hostname="client.plant.example", context=context
    )
    server.ehlo()
    said = f"user={USER}\1auth=Bearer {TOKEN}\1\1"
    server.auth("XOAUTH2", lambda challenge=None: said)
    return server


def client(job: Job) -> Callable[[range], None]:
    server, case = connect(job), CASES[job.case]

    def send(numbers: range) -> None:
        for number in numbers:
            to = recipients(number, job.recipients)
            octets = email_message(case, to[0], message_id(number))
            if server.sendmail(SENDER, to, octets):
                raise SystemExit("a recipient was refused")

    return send


if __name__ == "__main__":
    perform(client)
