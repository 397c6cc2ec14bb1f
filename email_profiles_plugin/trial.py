"""A trial: a test message, sent now and outside the outbox, and all that was said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field, frozen

from email_profiles_hookspecs import (
    Authenticator,
    Manageable,
    Profile,
    Reply,
    SecretRef,
    SendRequest,
)
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    Invalid,
    NeedsGrant,
    StoreUnavailable,
)

from .documents import profile_from_document
from .documents.shapes import Schema
from .message import message_id_for, render
from .outbox.booking import queue_id
from .outbox.intake import may_send_as
from .profiles import Documents
from .sealing import Body
from .smtp.mail import Mail, Submission, in_turn
from .smtp.pool import Pool
from .store import tokens
from .store.documents import Stored
from .submission import Submitter
from .verdict import judge_error, judge_reply


@frozen(kw_only=True)
class TrialReport:
    """
    What a test came to.

    *saved*: the stored profile was tested, not values that are not saved yet;
    *transcript*: the session, redacted.
    """

    profile: str
    saved: bool
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, Reply] = field(factory=dict)
    queue_id: str = ""
    message_id: str = ""
    stage: str = ""
    error: str = ""
    remedy: str = ""
    transcript: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Every recipient was accepted."""
        return bool(self.accepted) and not self.refused and not self.error


@define(kw_only=True)
class ProfileDocuments(Documents):
    """The email profiles; with `test`, which the page behind *More, test* has."""

    build: Callable[[Profile], Authenticator]
    debug: Callable[[str], None]
    resolve: Callable[[str], Profile]
    schemas: Callable[[], Mapping[str, Schema]]
    fingerprint: Callable[[Profile], str]
    """What a profile's token is issued for."""

    def test(
        self,
        target: str | Mapping[str, Any],
        request: SendRequest,
        *,
        without: Collection[str] = (),
    ) -> TrialReport:
        """
        Send *request* now, by a stored profile or by a document that is not saved.

        Takes the way that every message takes, but keeps nothing. Secrets that are
        not saved stay in memory; stored ones, and a stored token, serve a document
        only where they would go to the same place, and not those at the JSON pointers
        *without*. Raises Invalid and NotFound; failures are in the report.
        """
        if isinstance(target, str):
            return self._try(self.resolve(target), request, saved=True)
        name = target.get("name") if isinstance(target, Mapping) else None
        body, old, id, _ = self.prepare(target, name, None, without)
        profile = self._unsaved(body, id)
        if old is not None and self._may_use_token(profile, body, old):
            return self._try(profile, request, saved=False)
        profile = evolve(profile, id=self.chance.unique())
        try:
            return self._try(profile, request, saved=False)
        finally:
            with suppress(StoreUnavailable):  # the report is worth more than the row
                self.database.write(lambda c: tokens.forget(c, profile.id))

    def _unsaved(self, body: Body, id: str) -> Profile:
        return profile_from_document(body, id=id, revision=0, schemas=self.schemas())

    def _may_use_token(self, profile: Profile, body: Body, old: Stored) -> bool:
        """It would fetch and keep the same token as the stored profile does."""
        try:
            before = self._unsaved(old.body, old.id)
        except Invalid:
            return False  # the plugin of its mode is gone
        return (
            not self.kind.moved(old.body, body)
            and _secrets(before) == _secrets(profile)
            and self.fingerprint(before) == self.fingerprint(profile)
        )

    def _try(self, profile: Profile, request: SendRequest, saved: bool) -> TrialReport:
        id = message_id_for(request.from_address, self.chance.unique())
        rendered = render(request, date=self.clock.now(), message_id=id)
        may_send_as(profile, (request.from_address, request.sender))
        mail = Mail(
            mail_from=rendered.envelope.mail_from,
            recipients=rendered.envelope.recipients,
            octets=rendered.octets,
            smtputf8=rendered.smtputf8,
        )
        session: list[str] = []
        submission = Submission(mail=mail, tell=session.append)
        pool = Pool()
        try:
            authenticator = self.build(profile)
            _insist_on_a_grant(authenticator)
            submitter = Submitter(
                pool, lambda _: authenticator, lambda _: None, self.debug
            )
            credential = submitter.credential(profile)
            submitter.submit(profile, credential, in_turn([submission]))
        except EmailProfilesError as error:
            submission.error = error
        finally:
            pool.close()
        report = TrialReport(
            profile=profile.name,
            saved=saved,
            message_id=rendered.message_id,
            transcript=tuple(session),
        )
        return _told(report, submission)


def _insist_on_a_grant(authenticator: Authenticator) -> None:
    """Who tests is told at once; mail that is queued waits for the grant."""
    if isinstance(authenticator, Manageable):
        status = authenticator.status()
        if status.state == "needs grant":
            raise NeedsGrant(status.error or "nobody has granted access", "grant it")


def _secrets(profile: Profile) -> dict[str, object]:
    found = profile.auth.items()
    return {name: value for name, value in found if isinstance(value, SecretRef)}


def _told(report: TrialReport, submission: Submission) -> TrialReport:
    good = [
        (recipient, answer)
        for recipient, answer in submission.answers.items()
        if judge_reply(answer.stage, answer.reply).kind == "accepted"
    ]
    bad = {
        recipient: answer
        for recipient, answer in submission.answers.items()
        if recipient not in dict(good)
    }
    report = evolve(
        report,
        accepted=tuple(recipient for recipient, _ in good),
        refused={recipient: answer.reply for recipient, answer in bad.items()},
        queue_id=queue_id(good[0][1].reply) if good else "",
    )
    if submission.error is not None:
        handed_over = bool(submission.doubtful)
        verdict = judge_error(submission.error, handed_over=handed_over)
        stage = submission.error.stage
        return evolve(report, stage=stage, error=verdict.reason, remedy=verdict.remedy)
    if bad and not good:
        answer = next(iter(bad.values()))
        verdict = judge_reply(answer.stage, answer.reply)
        return evolve(
            report, stage=answer.stage, error=verdict.reason, remedy=verdict.remedy
        )
    return report
