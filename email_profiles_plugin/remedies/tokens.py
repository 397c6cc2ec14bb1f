"""Refusals that authorization servers are known for."""

from __future__ import annotations

from .rows import REPORTED, TOKEN, Row

_ENTRA = "learn.microsoft.com, error codes of Microsoft Entra"

MICROSOFT_TOKENS = (
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS900144\b",
        cause="Microsoft wants a scope in each token request",
        remedy="set the profile's scope, which goes with a refresh as well",
        example="AADSTS900144: The request body must contain the parameter: 'scope'.",
        source="sasl-xoauth2#89",
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS700082\b",
        cause="the refresh token was not used for 90 days",
        remedy="grant access anew",
        example="AADSTS700082: The refresh token has expired due to inactivity.",
        source="support.surveybooker.co.uk",
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS54005\b",
        cause="the authorization code was used before",
        remedy="begin the grant anew, and follow its link once",
        example="AADSTS54005: OAuth2 Authorization code was already redeemed.",
        source="email-oauth2-proxy#183",
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS7000215\b",
        cause="the client secret is wrong",
        remedy="set the secret's value, and not its id, as client_secret",
        example="AADSTS7000215: Invalid client secret provided.",
        source=_ENTRA,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS7000222\b",
        cause="the client secret has expired",
        remedy="make a new one at Microsoft Entra, and set it as client_secret",
        example="AADSTS7000222: The provided client secret keys are expired.",
        source=_ENTRA,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS70011\b",
        cause="the scope is none that Microsoft has, or not for this grant",
        remedy="ask for https://outlook.office.com/SMTP.Send offline_access where a "
        "person grants access, else for https://outlook.office365.com/.default",
        example="AADSTS70011: The provided value for the input parameter 'scope' "
        "isn't valid.",
        source=_ENTRA,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS28000\b",
        cause="the scopes are of two resources, and a token is for one",
        remedy="leave out all scopes but SMTP's and offline_access",
        example="AADSTS28000: Provided value for the input parameter scope is not "
        "valid because it contains more than one resource.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS1002012\b",
        cause="a client's own credentials get all of their permissions, or none",
        remedy="ask for https://outlook.office365.com/.default",
        example="AADSTS1002012: The provided value for scope is not valid.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS700016\b",
        cause="this tenant has no application by that client id",
        remedy="look at client_id, and at the tenant in the client's endpoints",
        example="AADSTS700016: Application was not found in the directory.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS90002\b",
        cause="there is no such tenant",
        remedy="correct the tenant in the client's endpoints",
        example="AADSTS90002: Tenant 'plant' not found.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS50011\b",
        cause="the redirect URI is not registered",
        remedy="register it at Microsoft Entra, to the letter",
        example="AADSTS50011: The redirect URI does not match the redirect URIs "
        "configured for the application.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS65001\b",
        cause="nobody consented to what the application asks for",
        remedy="grant access anew, or have an administrator consent",
        example="AADSTS65001: The user or administrator has not consented to use "
        "the application.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS(?:50173|50076|50079)\b",
        cause="the password was changed, or another factor is asked for",
        remedy="grant access anew, as the mailbox's owner",
        example="AADSTS50173: The provided grant has expired due to it being revoked.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS53003\b",
        cause="a Conditional Access policy of the tenant forbids it",
        remedy="have an administrator except this mailbox or this machine's address",
        example="AADSTS53003: Access has been blocked by Conditional Access policies.",
        source=_ENTRA,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        pattern=r"AADSTS7000218\b",
        cause="the registration has a secret, and none came",
        remedy="set client_secret and client_secret_post, or make it a public client",
        example="AADSTS7000218: The request body must contain the parameter: "
        "'client_assertion' or 'client_secret'.",
        source=_ENTRA,
        confirmed=False,
    ),
)

_GOOGLE_CAUSE = (
    "Google ended the grant: it was revoked or not used for 6 months, the password "
    "was changed, or the app is in status Testing, where grants end after 7 days"
)

GOOGLE_TOKENS = (
    Row(
        stages=(TOKEN,),
        code="invalid_grant",
        pattern="token has been expired or revoked",
        cause=_GOOGLE_CAUSE,
        remedy="grant access anew; publish the app, or make it internal",
        example="Token has been expired or revoked.",
        source="sasl-xoauth2#29",
    ),
    Row(
        stages=(TOKEN,),
        code="invalid_grant",
        host="googleapis.com",
        cause=_GOOGLE_CAUSE,
        remedy="grant access anew; publish the app, or make it internal",
        example="Bad Request",
        source="sasl-xoauth2#29",
    ),
    Row(
        stages=(TOKEN,),
        code="unauthorized_client",
        host="googleapis.com",
        cause="the service account has no domain-wide delegation for this scope",
        remedy="delegate https://mail.google.com/ to it in the Workspace admin console",
        example="Client is unauthorized to retrieve access tokens using this method, "
        "or client not authorized for any of the scopes requested.",
        source=REPORTED,
        confirmed=False,
    ),
    Row(
        stages=(TOKEN,),
        code="redirect_uri_mismatch",
        cause="the redirect URI is not registered",
        remedy="register it at the authorization server, to the letter",
        example="Bad Request",
        source=REPORTED,
        confirmed=False,
    ),
)

_RFC = "RFC 6749, 5.2"

ANY_TOKEN = tuple(
    Row(
        stages=(TOKEN,),
        code=code,
        cause="",
        remedy=remedy,
        example="",
        source=source,
    )
    for code, remedy, source in (
        (
            "invalid_client",
            "look at the OAuth2 client's id and secret, and at how it authenticates",
            _RFC,
        ),
        ("invalid_grant", "grant access anew", _RFC),
        (
            "invalid_request",
            "look at the scope, at the additional parameters, and at how the client "
            "authenticates",
            _RFC,
        ),
        ("invalid_scope", "look at the scope that is asked for", _RFC),
        (
            "unauthorized_client",
            "allow this client the grant, at the authorization server",
            _RFC,
        ),
        (
            "unsupported_grant_type",
            "look at the token endpoint's address",
            _RFC,
        ),
        (
            "access_denied",
            "grant it anew, and agree to all that is asked for; where nobody refused, "
            "look at what the authorization server allows this client",
            "RFC 6749, 4.1.2.1",
        ),
        ("temporarily_unavailable", "try again later", "RFC 6749, 4.1.2.1"),
        ("server_error", "try again later", "RFC 6749, 4.1.2.1"),
        ("expired_token", "begin the grant anew, and be quicker", "RFC 8628, 3.5"),
        (
            "interaction_required",
            "grant access anew",
            "OpenID Connect Core, 3.1.2.6",
        ),
        ("consent_required", "grant access anew", "OpenID Connect Core, 3.1.2.6"),
        ("login_required", "grant access anew", "OpenID Connect Core, 3.1.2.6"),
        (
            "account_selection_required",
            "grant access anew",
            "OpenID Connect Core, 3.1.2.6",
        ),
    )
)
