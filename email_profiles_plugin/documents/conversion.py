"""
Documents to values and back.

The documents have to be valid; what each value needs is taken from them by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from email_profiles_hookspecs import (
    Limits,
    OAuth2Client,
    Policy,
    Problem,
    Profile,
    SecretRef,
    SmtpSettings,
)
from email_profiles_hookspecs.errors import Invalid

from .composition import client_schema, profile_schema
from .places import map_secrets
from .sentences import unknown_mode
from .shapes import Schema, with_defaults


def profile_from_document(
    document: Mapping[str, Any],
    *,
    id: str,
    revision: int,
    schemas: Mapping[str, Schema],
) -> Profile:
    """
    The profile that *document*, which has to be valid, describes.

    Defaults are filled in, secrets are SecretRefs with the place `id#pointer`. Raises
    Invalid where *schemas* lacks its mode: the plugin that adds it is not loaded.
    """
    mode: str = document["auth"]["mode"]
    if mode not in schemas:
        message, remedy = unknown_mode(mode, schemas)
        problem = Problem(path="$.auth.mode", message=message, remedy=remedy)
        raise Invalid(f"email profile {document['name']!r}", [problem])
    schema = profile_schema(document, schemas)
    full = _with_references(document, schema, id)
    return Profile(
        id=id,
        revision=revision,
        name=full["name"],
        description=full["description"],
        enabled=full["enabled"],
        smtp=smtp_from_document(full["smtp"]),
        mode=mode,
        auth={key: value for key, value in full["auth"].items() if key != "mode"},
        limits=limits_from_document(full["limits"]),
        policy=policy_from_document(full["policy"]),
    )


def smtp_from_document(document: Mapping[str, Any]) -> SmtpSettings:
    """The settings in a profile's `smtp`, defaults filled in before."""
    return SmtpSettings(
        hostname=document["hostname"],
        port=document["port"],
        use_ssl=document["use_ssl"],
        use_starttls=document["use_starttls"],
        timeout_ms=document["timeout_ms"],
        debug=document["debug"],
        ssl_protocols=document["ssl_protocols"],
        ca_file=document["ca_file"],
        verify_certificate=document["verify_certificate"],
        allow_plaintext_auth=document["allow_plaintext_auth"],
        helo_name=document["helo_name"],
        pipelining=document["pipelining"],
        final_reply_timeout_ms=document["final_reply_timeout_ms"],
    )


def limits_from_document(document: Mapping[str, Any]) -> Limits:
    """The limits in a profile's `limits`, defaults filled in before."""
    return Limits(
        max_connections=document["max_connections"],
        messages_per_minute=document["messages_per_minute"],
        recipients_per_day=document["recipients_per_day"],
        recipients_per_message=document["recipients_per_message"],
    )


def policy_from_document(document: Mapping[str, Any]) -> Policy:
    """The policy in a profile's `policy`, defaults filled in before."""
    return Policy(
        max_attempts=document["max_attempts"],
        max_age_s=document["max_age_s"],
        on_unknown=document["on_unknown"],
        from_addresses=document["from_addresses"],
    )


def document_from_profile(profile: Profile) -> dict[str, Any]:
    """
    The document that describes *profile*, every property given.

    Also of a profile that a site plugin made: whether it is valid is yet to be seen.
    A secret that is not stored anywhere (kind `plain`) stands in it as it is.
    """
    smtp, limits, policy = profile.smtp, profile.limits, profile.policy
    return {
        "name": profile.name,
        "description": profile.description,
        "enabled": profile.enabled,
        "smtp": {
            "hostname": smtp.hostname,
            "port": smtp.port,
            "use_ssl": smtp.use_ssl,
            "use_starttls": smtp.use_starttls,
            "timeout_ms": smtp.timeout_ms,
            "debug": smtp.debug,
            "ssl_protocols": list(smtp.ssl_protocols),
            "ca_file": smtp.ca_file,
            "verify_certificate": smtp.verify_certificate,
            "allow_plaintext_auth": smtp.allow_plaintext_auth,
            "helo_name": smtp.helo_name,
            "pipelining": smtp.pipelining,
            "final_reply_timeout_ms": smtp.final_reply_timeout_ms,
        },
        "auth": {"mode": profile.mode, **_plain(profile.auth)},
        "limits": {
            "max_connections": limits.max_connections,
            "messages_per_minute": limits.messages_per_minute,
            "recipients_per_day": limits.recipients_per_day,
            "recipients_per_message": limits.recipients_per_message,
        },
        "policy": {
            "max_attempts": policy.max_attempts,
            "max_age_s": policy.max_age_s,
            "on_unknown": policy.on_unknown,
            "from_addresses": list(policy.from_addresses),
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SecretRef):
        return value.value if value.kind == "plain" else {value.kind: value.value}
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value


def client_from_document(
    document: Mapping[str, Any], *, id: str, revision: int
) -> OAuth2Client:
    """The OAuth2 client that *document*, which has to be valid, describes."""
    full = _with_references(document, client_schema(), id)
    return OAuth2Client(
        id=id,
        revision=revision,
        name=full["name"],
        description=full["description"],
        client_id=full["client_id"],
        client_secret=full.get("client_secret"),
        authorization_endpoint=full["authorization_endpoint"],
        token_endpoint=full["token_endpoint"],
        device_authorization_endpoint=full["device_authorization_endpoint"],
        revocation_endpoint=full["revocation_endpoint"],
        issuer=full["issuer"],
        token_endpoint_auth_method=full["token_endpoint_auth_method"],
        private_key=full.get("private_key"),
        certificate=full["certificate"],
        key_id=full["key_id"],
        algorithm=full["algorithm"],
        assertion_audience=full["assertion_audience"],
        ca_file=full["ca_file"],
        connect_timeout_ms=full["connect_timeout_ms"],
        request_timeout_ms=full["request_timeout_ms"],
    )


def _with_references(
    document: Mapping[str, Any], schema: Schema, id: str
) -> dict[str, Any]:
    """*document* with its defaults, and a SecretRef for each secret."""
    return map_secrets(
        with_defaults(document, schema),
        schema,
        lambda pointer, value: secret_reference(f"{id}#{pointer}", value),
    )


def secret_reference(place: str, value: object) -> SecretRef:
    """
    Where the secret that *value*, as documents write it, comes from.

    Raises ValueError, without the value, for what is no secret.
    """
    match value:
        case str(secret):
            return SecretRef(kind="plain", place=place, value=secret)
        case {"env": str(name)}:
            return SecretRef(kind="env", place=place, value=name)
        case {"file": str(path)}:
            return SecretRef(kind="file", place=place, value=path)
        case {"sealed": str(sealed)}:
            return SecretRef(kind="sealed", place=place, value=sealed)
    raise ValueError(f"what stands at {place} is no secret")
