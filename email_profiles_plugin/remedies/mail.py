"""Refusals that mail servers are known for."""

from __future__ import annotations

from .rows import REPORTED, Row

AUTH = ("AUTH",)
ENVELOPE = ("MAIL", "RCPT", "DATA", "end of data")

_PRESET = "`email-profiles profile new --preset microsoft365` has the settings"
_EXCHANGE = "learn.microsoft.com, smtp-submission-improvements"

MICROSOFT_MAIL = (
    Row(
        stages=AUTH,
        code=535,
        enhanced="5.7.139",
        pattern="basic authentication is disabled",
        cause="Microsoft takes no password for this mailbox any more",
        remedy=f"use mode oauth2; {_PRESET}",
        example="Authentication unsuccessful, basic authentication is disabled.",
        source="alertmanager#4342, listmonk#2158",
    ),
    Row(
        stages=AUTH,
        code=535,
        enhanced="5.7.139",
        pattern="SmtpClientAuthentication is disabled",
        cause="SMTP AUTH is switched off for the tenant or the mailbox",
        remedy="have an Exchange administrator switch it on for this mailbox",
        example="Authentication unsuccessful, SmtpClientAuthentication is disabled "
        "for the Tenant.",
        source="nextgenhealthcare/connect#5634",
    ),
    Row(
        stages=AUTH,
        code=535,
        enhanced="5.7.3",
        cause="Exchange knows nobody by this username and token or password",
        remedy="with a token of a person's, the username has to be that person's "
        "mailbox and the scope SMTP.Send; with the client's own, the app needs "
        "SMTP.SendAsApp, a service principal in Exchange and rights on the mailbox",
        example="Authentication unsuccessful",
        source="sasl-xoauth2#43, #71",
    ),
    Row(
        code=550,
        enhanced="5.7.30",
        cause="Exchange Online takes no passwords for sending any more",
        remedy=f"use mode oauth2; {_PRESET}",
        example="Basic authentication is not supported for Client Submission.",
        source="OpenCTI#15924",
    ),
    Row(
        code=530,
        enhanced="5.7.57",
        cause="Exchange was given mail by a client that had not signed in",
        remedy="give a username, and use STARTTLS on port 587",
        example="Client not authenticated to send mail.",
        source="airflow#62775, alertmanager#3244",
    ),
    Row(
        stages=AUTH,
        code=501,
        enhanced="5.5.124",
        cause="Exchange can't read the token's message, or the account may not use it",
        remedy="look at the username, and at whether the mailbox may sign in by OAuth",
        example="Invalid XOAUTH2 authentication data",
        source="sasl-xoauth2#110",
    ),
    Row(
        code=432,
        enhanced="4.3.2",
        cause="Exchange takes three connections of a mailbox at once",
        remedy="set limits.max_connections to 3 or less, for all who send by it",
        example="Concurrent connections limit exceeded.",
        source=_EXCHANGE,
    ),
    Row(
        code=554,
        enhanced="5.2.0",
        pattern="SubmissionQuota|RecipientLimit|LimitExceeded",
        cause="the mailbox has reached a limit of Exchange's, such as 10,000 "
        "recipients a day",
        remedy="wait a day; set limits.recipients_per_day, and use more mailboxes",
        example="STOREDRV.Submission.Exception: SubmissionQuotaExceededException",
        source=_EXCHANGE,
    ),
    Row(
        code=554,
        enhanced="5.2.2",
        pattern="STOREDRV",
        cause="the mailbox that sends is full, with its Sent Items",
        remedy="make room in it, or have what is sent deleted by a rule",
        example="STOREDRV.Submission.Exception: QuotaExceededException",
        source=_EXCHANGE,
    ),
    Row(
        code=554,
        pattern="SendAsDenied|not allowed to send as",
        cause="Exchange does not let this mailbox send as that address",
        remedy="send from the mailbox's own address, or have Send As allowed",
        example="SendAsDenied; gateway@plant.example not allowed to send as ops",
        source=REPORTED,
        confirmed=False,
    ),
)

OTHER_MAIL = (
    Row(
        stages=AUTH,
        code=535,
        enhanced="5.7.8",
        pattern=r"username and password not accepted|BadCredentials",
        cause="Google refuses what signed in: a password that is no app password, or "
        "a token of another mailbox or scope",
        remedy="use an app password, or mode oauth2 with the mailbox as username and "
        "scope https://mail.google.com/; `email-profiles profile new --preset gmail` "
        "has the settings",
        example="Username and Password not accepted. BadCredentials - gsmtp",
        source="home-assistant#72919",
    ),
    Row(
        stages=AUTH,
        code=534,
        enhanced="5.7.14",
        cause="Google stopped this sign-in",
        remedy="sign in to the account with a browser once, or use an app password or "
        "mode oauth2",
        example="Please log in via your web browser and then try again.",
        source="grafana#9060",
    ),
    Row(
        stages=AUTH,
        code=534,
        pattern="application-specific password",
        cause="the account has 2-step verification",
        remedy="use an app password, or mode oauth2",
        example="Application-specific password required.",
        source=REPORTED,
        confirmed=False,
    ),
    Row(
        code=553,
        enhanced="5.7.1",
        cause="this login does not own the address that the message is from",
        remedy="send from an address of the login; policy.from_addresses keeps others "
        "out",
        example="Sender address rejected: not owned by user gateway",
        source="hassio grafana#342",
    ),
    Row(
        code=421,
        pattern="too many (?:concurrent )?(?:smtp )?(?:connections|sessions)",
        cause="the server has too many connections of ours",
        remedy="set limits.max_connections lower",
        example="Too many concurrent SMTP connections; please try again later.",
        source="email-templates#469",
    ),
    Row(
        code=421,
        pattern="session.{0,20}lifetime|lifetime.{0,20}reached",
        cause="the server ends sessions after a while",
        remedy="nothing: the message goes over a new connection",
        example="SMTP session maximum lifetime reached",
        source="nodemailer#1149",
    ),
    Row(
        code=554,
        pattern="address is not verified",
        cause="Amazon SES sends from verified identities alone, in each region",
        remedy="verify the address or its domain in the region of the host name",
        example="Message rejected: Email address is not verified.",
        source=REPORTED,
        confirmed=False,
    ),
    Row(
        code=550,
        pattern="verified sender identity",
        cause="SendGrid sends from verified senders alone",
        remedy="verify the address or its domain at SendGrid",
        example="The from address does not match a verified Sender Identity.",
        source=REPORTED,
        confirmed=False,
    ),
)

ANY_MAIL = (
    Row(
        stages=AUTH,
        code=535,
        cause="the server refuses who signs in",
        remedy="look at the username and the password; with OAuth 2.0, at whom and "
        "what the token is for: `email-profiles token status PROFILE` shows it",
        example="Authentication credentials invalid",
        source="RFC 4954, 6",
    ),
    Row(
        stages=AUTH,
        code=454,
        cause="the server can't look up who signs in, for now",
        remedy="nothing: it is tried again; if it lasts, ask who runs the server",
        example="Temporary authentication failure",
        source="RFC 4954, 6",
    ),
    Row(
        stages=AUTH,
        code=534,
        cause="the server wants a stronger way to sign in",
        remedy="leave the mechanism at automatic, or use the mode that it asks for",
        example="Authentication mechanism is too weak",
        source="RFC 4954, 6",
    ),
    Row(
        stages=AUTH,
        pattern="the server has no AUTH",
        cause="the server offers no way to sign in over this connection",
        remedy="set use_starttls or use_ssl, without which many servers offer none; "
        "or leave out the username, where none is needed",
        example="the profile can do PLAIN, LOGIN; the server has no AUTH at all",
        source="RFC 4954, 4",
    ),
    Row(
        stages=AUTH,
        pattern="the profile can do .{1,200}; the server has",
        cause="the server has other ways to sign in than the profile",
        remedy="leave the mechanism at automatic; else use the mode that has them",
        example="the profile can do XOAUTH2; the server has PLAIN, LOGIN",
        source="RFC 4954, 4",
    ),
    Row(
        code=538,
        cause="the server wants TLS before anybody signs in",
        remedy="set use_starttls, usually with port 587, or use_ssl, usually with 465",
        example="Encryption required for requested authentication mechanism",
        source="RFC 4954, 6",
    ),
    Row(
        code=530,
        pattern="STARTTLS",
        cause="the server wants TLS first",
        remedy="set use_starttls",
        example="Must issue a STARTTLS command first",
        source="RFC 3207, 4",
    ),
    Row(
        code=530,
        cause="the server takes mail only from those who sign in",
        remedy="give the profile a username and a password, or mode oauth2",
        example="Authentication required",
        source="RFC 4954, 6",
    ),
    Row(
        stages=("greeting",),
        code=554,
        cause="the server has no service for this machine",
        remedy="ask who runs it to let this machine's address in, or use another",
        example="No SMTP service here",
        source="RFC 5321, 3.1",
    ),
    Row(
        stages=("EHLO",),
        code=501,
        cause="the server does not like the name that this machine gives",
        remedy="set helo_name to a host name of this machine's",
        example="Syntactically invalid HELO argument(s)",
        source="RFC 5321, 4.1.1.1",
    ),
    Row(
        stages=("RCPT",),
        pattern="relay(?:ing)? (?:access )?(?:is )?(?:denied|not permitted)"
        "|unable to relay",
        cause="the server passes mail on only for those it knows",
        remedy="sign in, or ask who runs it to let this machine's address relay",
        example="Relay access denied",
        source="RFC 5321, 3.6.2",
    ),
    Row(
        stages=ENVELOPE,
        code=550,
        enhanced="5.1.1",
        cause="there is no such mailbox",
        remedy="correct the recipient's address",
        example="The email account that you tried to reach does not exist.",
        source="RFC 3463, 3.2",
    ),
    Row(
        stages=ENVELOPE,
        enhanced="5.1.2",
        cause="there is no such domain, or it takes no mail",
        remedy="correct what is behind the @ of the recipient's address",
        example="Host unknown",
        source="RFC 3463, 3.2",
    ),
    Row(
        stages=ENVELOPE,
        enhanced="5.2.2",
        cause="the recipient's mailbox is full",
        remedy="have room made in it",
        example="Mailbox full",
        source="RFC 3463, 3.3",
    ),
    Row(
        stages=ENVELOPE,
        enhanced="5.3.4",
        cause="the message is too big for the server",
        remedy="send less, or a link to the file",
        example="Message size exceeds fixed limit",
        source="RFC 3463, 3.4",
    ),
    Row(
        stages=("RCPT", "end of data"),
        pattern="gr[ea]ylist",
        cause="the server lets unknown senders wait",
        remedy="nothing: it is tried again",
        example="Greylisted, please try again later",
        source="RFC 6647",
    ),
    Row(
        stages=("TLS",),
        pattern="WRONG_VERSION_NUMBER|does not speak TLS",
        cause="the port starts in clear, and the profile starts with TLS",
        remedy="switch Use SSL/TLS off, and Use STARTTLS on",
        example="[SSL: WRONG_VERSION_NUMBER] wrong version number",
        source="the documentation of Airflow",
    ),
    Row(
        stages=("greeting",),
        pattern="did not answer in time",
        cause="a server that waits for TLS says nothing, and a filter may neither",
        remedy="on port 465 set use_ssl, else use port 587 with use_starttls",
        example="the server did not answer in time",
        source="seen at Postfix, Dovecot, Exim and smtp-server",
    ),
)
