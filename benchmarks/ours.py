"""Our side: renders while a flight asks for more, over one pooled connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from attrs import evolve

from email_profiles_hookspecs import (
    Credential,
    Limits,
    Profile,
    SendRequest,
    SmtpSettings,
    sasl,
)
from email_profiles_plugin.message import render
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn
from email_profiles_plugin.smtp.pool import Keep, Pool
from email_profiles_plugin.submission import Submitter
from loopback import HOST
from render import CASES, DATE
from work import TOKEN, USER, Job, message_id, perform, recipients

ONE_CONNECTION = Keep(messages=1_000_000)


def settings(job: Job) -> tuple[Profile, Credential]:
    """What a profile's document and its provider come to."""
    smtp = SmtpSettings(hostname=HOST, port=job.port)
    credential = Credential(offers=[])
    if job.ca_file is not None:
        smtp = evolve(
            smtp, use_ssl=True, ca_file=job.ca_file, ssl_protocols=["TLSv1.3"]
        )
        credential = Credential(offers=[sasl.XOAuth2(USER, TOKEN)], identity=USER)
    profile = Profile(
        id="benchmark",
        revision=1,
        name="benchmark",
        smtp=smtp,
        mode="benchmark",
        limits=Limits(max_connections=1),
    )
    return profile, credential


def submission(job: Job, number: int) -> Submission:
    """Message *number*, rendered; all recipients but one get a blind copy."""
    to, *others = recipients(number, job.recipients)
    case = CASES[job.case]
    request = SendRequest(
        profile=case.profile,
        from_address=case.from_address,
        to=[to],
        bcc=others,
        subject=case.subject,
        text=case.text,
        html=case.html,
        attachments=case.attachments,
    )
    rendered = render(request, date=DATE, message_id=message_id(number))
    return Submission(
        mail=Mail(
            mail_from=rendered.envelope.mail_from,
            recipients=rendered.envelope.recipients,
            octets=rendered.octets,
            smtputf8=rendered.smtputf8,
        )
    )


def client(job: Job) -> Callable[[range], None]:
    profile, credential = settings(job)
    submitter = Submitter(
        Pool(ONE_CONNECTION),
        authenticator=lambda profile: NotImplemented,  # it has its credential
        stamp=lambda profile: None,
        debug=print,
    )

    def send(numbers: range) -> None:
        under_way: deque[Submission] = deque()

        def rendered() -> Iterator[Submission]:
            for number in numbers:
                under_way.append(submission(job, number))
                yield under_way[-1]
                while under_way and under_way[0].done:
                    check(under_way.popleft())

        submitter.submit(profile, credential, in_turn(rendered()))
        for one in under_way:
            check(one)

    def check(one: Submission) -> None:
        codes = [answer.reply.code for answer in one.answers.values()]
        if one.error or codes != [250] * job.recipients:
            raise SystemExit(f"not accepted: {one.error or codes[:3]}")

    return send


if __name__ == "__main__":
    perform(client)
