"""
The providers, as of FACTS_OF: what they say themselves, or what runs against them.

What others say of them is among a preset's *leads*; a preset that rests on such
alone is not *confirmed*.
"""

from __future__ import annotations

from .values import HOSTNAME, Access, AuthorizationServer, Port, Preset

FACTS_OF = "November 2026"

_TLS = Port(465, "SSL/TLS")
_SUBMISSION = Port(587, "STARTTLS")
_RELAY = Port(25, "STARTTLS")
_OTHER = Port(2525, "STARTTLS")

_APP_PASSWORD = "an app password, not the account's own"

_SMTP_SEND = (
    "https://outlook.office.com/SMTP.Send",
    "https://outlook.office365.com/SMTP.Send",
    "https://outlook.office.com/.default",
    "https://outlook.office365.com/.default",
)

MICROSOFT = AuthorizationServer(
    name="Microsoft",
    authorization_endpoint=(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"
    ),
    token_endpoint="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
    device_authorization_endpoint=(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode"
    ),
    issuers=("sts.windows.net",),
    tenants=True,
)
GOOGLE = AuthorizationServer(
    name="Google",
    authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
    token_endpoint="https://oauth2.googleapis.com/token",
    revocation_endpoint="https://oauth2.googleapis.com/revoke",
    issuers=("accounts.google.com",),
)
YAHOO = AuthorizationServer(
    name="Yahoo",
    authorization_endpoint="https://api.login.yahoo.com/oauth2/request_auth",
    token_endpoint="https://api.login.yahoo.com/oauth2/get_token",
)
FASTMAIL = AuthorizationServer(
    name="Fastmail",
    authorization_endpoint="https://api.fastmail.com/oauth/authorize",
    token_endpoint="https://api.fastmail.com/oauth/refresh",
    token_endpoint_auth_method="none",
)
SERVERS = (MICROSOFT, GOOGLE, YAHOO, FASTMAIL)

GMAIL = Preset(
    name="gmail",
    title="Gmail and Google Workspace",
    aliases=("google", "googlemail", "workspace", "google-workspace"),
    hostname="smtp.gmail.com",
    hosts=("smtp.googlemail.com",),
    ports=(_SUBMISSION, _TLS),
    modes=("oauth2", "basic"),
    username_form="address",
    password_is="an app password; the account needs 2-step verification for one",
    access=Access(
        server=GOOGLE,
        scopes=("https://mail.google.com/", "https://mail.google.com"),
        authorization_params={"access_type": "offline", "prompt": "consent"},
    ),
    notes=(
        "The refresh token of an app in status Testing dies after 7 days: publish the "
        "app, or make it internal to the organisation.",
        "It also dies after 6 months without use, and when the user changes the "
        "password.",
        "Without a person there is only the service account, with domain-wide "
        "delegation: a plugin's mode, and not this preset.",
    ),
    leads=("Workspace takes 2,000 messages a day from a user.",),
    sources=(
        "developers.google.com/gmail/xoauth2_protocol",
        "simonrob/email-oauth2-proxy",
    ),
)

MICROSOFT_365 = Preset(
    name="microsoft365",
    title="Microsoft 365 (Exchange Online)",
    aliases=("m365", "office365", "o365", "exchange", "exchange-online", "microsoft"),
    hostname="smtp.office365.com",
    ports=(_SUBMISSION,),
    modes=("oauth2",),
    username_form="address",
    access=Access(
        server=MICROSOFT,
        scopes=_SMTP_SEND,
        offline="offline_access",
        application_scopes=(
            "https://outlook.office365.com/.default",
            "https://outlook.office.com/.default",
        ),
        tenant="common",
    ),
    basic_ended=(
        "Exchange Online switches basic authentication off by default at the end of "
        "December 2026, until when nothing changes; an administrator can switch it "
        "on again, new tenants have none, and its end is to be announced in the "
        "second half of 2027"
    ),
    limits={
        "max_connections": 3,
        "messages_per_minute": 30,
        "recipients_per_day": 10_000,
    },
    binds_from="application",
    notes=(
        "SMTP AUTH has to be switched on for the mailbox or the tenant; new tenants "
        "have it off.",
        "What is sent is kept in Sent Items: a full mailbox can't send.",
    ),
    leads=(
        "Without a person: the app needs the permission SMTP.SendAsApp with an "
        "administrator's consent, its service principal registered in Exchange by the "
        "Enterprise Application's object id, and rights on the mailbox; that takes up "
        "to 30 minutes to be known everywhere.",
    ),
    sources=(
        "learn.microsoft.com, smtp-submission-improvements",
        "Message Center MC786329",
        "simonrob/email-oauth2-proxy",
    ),
)

OUTLOOK = Preset(
    name="outlook",
    title="Outlook.com, Hotmail and Live",
    aliases=("outlook.com", "hotmail", "live", "msn"),
    hostname="smtp-mail.outlook.com",
    ports=(_SUBMISSION,),
    modes=("oauth2",),
    username_form="address",
    access=Access(
        server=MICROSOFT,
        scopes=_SMTP_SEND,
        offline="offline_access",
        tenant="consumers",
    ),
    basic_ended="Outlook.com ended basic authentication in September 2024",
    sources=("simonrob/email-oauth2-proxy",),
)

YAHOO_MAIL = Preset(
    name="yahoo",
    title="Yahoo Mail",
    hostname="smtp.mail.yahoo.com",
    ports=(_TLS,),
    modes=("basic", "oauth2"),
    password_is=_APP_PASSWORD,
    access=Access(server=YAHOO, scopes=("mail-w",)),
    notes=("Yahoo registers no new OAuth clients for mail: oauth2 needs an old one.",),
    sources=("simonrob/email-oauth2-proxy", "nodemailer/nodemailer"),
)

AOL_MAIL = Preset(
    name="aol",
    title="AOL Mail",
    hostname="smtp.aol.com",
    ports=(_SUBMISSION,),
    modes=("basic", "oauth2"),
    password_is=_APP_PASSWORD,
    access=Access(server=YAHOO, scopes=("mail-w",)),
    notes=(
        "AOL's accounts are Yahoo's, which registers no new OAuth clients for mail: "
        "oauth2 needs an old one.",
    ),
    sources=("simonrob/email-oauth2-proxy", "nodemailer/nodemailer"),
)

FASTMAIL_MAIL = Preset(
    name="fastmail",
    title="Fastmail",
    hostname="smtp.fastmail.com",
    ports=(_TLS,),
    modes=("basic", "oauth2"),
    password_is=_APP_PASSWORD,
    access=Access(
        server=FASTMAIL, scopes=("https://www.fastmail.com/dev/protocol-smtp",)
    ),
    sources=("simonrob/email-oauth2-proxy",),
)

_ZOHO = ("com", "eu", "in", "com.au", "jp", "com.cn", "sa")

ZOHO = Preset(
    name="zoho",
    title="Zoho Mail",
    hostname="smtp.zoho.com",
    hosts=("smtppro.zoho.*",),
    ports=(_TLS, _SUBMISSION),
    modes=("basic",),
    regions={region: f"smtp.zoho.{region}" for region in _ZOHO},
    username_form="address",
    password_is="the password, or with two-factor authentication an app password",
    binds_from="always",
    leads=(
        "The region has to be the account's.",
        "Paid accounts have smtppro.zoho.com, with the region likewise: give it as "
        "the hostname.",
        "From has to be the account's address or an alias of it.",
        "No OAuth 2.0 for SMTP is documented.",
    ),
    confirmed=False,
    sources=("postigo.net",),
)

ICLOUD = Preset(
    name="icloud",
    title="iCloud Mail",
    aliases=("apple", "me.com"),
    hostname="smtp.mail.me.com",
    ports=(_SUBMISSION,),
    modes=("basic",),
    password_is="an app-specific password",
    leads=("Sources differ on port 465 and on a daily limit.",),
    confirmed=False,
)

SES = Preset(
    name="ses",
    title="Amazon SES",
    aliases=("amazon", "amazon-ses", "aws", "aws-ses"),
    hostname="email-smtp.{region}.amazonaws.com",
    ports=(
        _SUBMISSION,
        Port(2587, "STARTTLS"),
        _TLS,
        Port(2465, "SSL/TLS"),
        _RELAY,
    ),
    modes=("basic",),
    username_form="no address",
    username_is="the SMTP user name that SES made for this region",
    password_is="the SMTP password that goes with it, not an AWS secret key",
    refuses_oauth2=True,
    notes=(
        "Addresses and domains to send from are verified in each region.",
        "EC2 throttles port 25.",
    ),
    sources=("docs.aws.amazon.com/ses, smtp-connect",),
)

SENDGRID = Preset(
    name="sendgrid",
    title="Twilio SendGrid",
    aliases=("twilio",),
    hostname="smtp.sendgrid.net",
    ports=(_SUBMISSION, _OTHER, _TLS, _RELAY),
    modes=("basic",),
    username="apikey",
    password_is="the API key, without the newline that is easily copied with it",
    sources=("twilio.com/docs/sendgrid",),
)

MAILGUN = Preset(
    name="mailgun",
    title="Mailgun",
    hostname="smtp.mailgun.org",
    ports=(_SUBMISSION, _OTHER, _TLS, _RELAY),
    modes=("basic",),
    regions={"us": "smtp.mailgun.org", "eu": "smtp.eu.mailgun.org"},
    username_is="the SMTP user of the sending domain",
    password_is="the SMTP user's password, not an API key",
    leads=("Domains in the EU region have smtp.eu.mailgun.org.",),
    sources=("documentation.mailgun.com",),
)

POSTMARK = Preset(
    name="postmark",
    title="Postmark",
    hostname="smtp.postmarkapp.com",
    hosts=("smtp-broadcasts.postmarkapp.com",),
    ports=(_SUBMISSION, _OTHER, _RELAY),
    modes=("basic",),
    username_form="no address",
    username_is="the server's API token",
    password_is="the same token once more",
    notes=(
        "Nobody listens on 465: a connection to it hangs.",
        "Broadcasts have smtp-broadcasts.postmarkapp.com; give it as the hostname.",
    ),
    sources=("postmarkapp.com/support/article/811", "spreecommerce docs"),
)

RESEND = Preset(
    name="resend",
    title="Resend",
    hostname="smtp.resend.com",
    ports=(
        _TLS,
        Port(2465, "SSL/TLS"),
        _SUBMISSION,
        Port(2587, "STARTTLS"),
        _RELAY,
    ),
    modes=("basic",),
    username="resend",
    password_is="the API key",
    sources=("resend.com",),
)

RELAY = Preset(
    name="relay",
    title="A relay of your own",
    aliases=("plain", "smtp", "generic"),
    hostname=HOSTNAME,
    ports=(Port(25, "none"), _SUBMISSION, _TLS, _RELAY),
    modes=("basic",),
    username_is="the user name, where the relay wants one",
    notes=(
        "Nothing is encrypted on port 25 without TLS: for networks that you trust.",
    ),
)

PRESETS = (
    GMAIL,
    MICROSOFT_365,
    OUTLOOK,
    YAHOO_MAIL,
    AOL_MAIL,
    FASTMAIL_MAIL,
    ZOHO,
    ICLOUD,
    SES,
    SENDGRID,
    MAILGUN,
    POSTMARK,
    RESEND,
    RELAY,
)
"""All of them, in the order in which they are listed."""
