"""The contract: all that a third-party plugin, or a host, imports."""

from . import errors, jwt, sasl
from .host import AcceptsEmailProfiles
from .markers import PROJECT, hookimpl, hookspec
from .providers import (
    Authenticator,
    AuthProvider,
    Credential,
    Device,
    DeviceGrantable,
    Grantable,
    Manageable,
    Redirect,
)
from .services import (
    HttpReply,
    OAuth2Client,
    Services,
    Timing,
    Token,
    TokenStatus,
)
from .values import (
    Attachment,
    Limits,
    Outcome,
    Policy,
    Problem,
    Profile,
    Receipt,
    Reply,
    SecretRef,
    SendRequest,
    SmtpSettings,
)

__all__ = [
    "PROJECT",
    "AcceptsEmailProfiles",
    "Attachment",
    "AuthProvider",
    "Authenticator",
    "Credential",
    "Device",
    "DeviceGrantable",
    "Grantable",
    "HttpReply",
    "Limits",
    "Manageable",
    "OAuth2Client",
    "Outcome",
    "Policy",
    "Problem",
    "Profile",
    "Receipt",
    "Redirect",
    "Reply",
    "SecretRef",
    "SendRequest",
    "Services",
    "SmtpSettings",
    "Timing",
    "Token",
    "TokenStatus",
    "errors",
    "hookimpl",
    "hookspec",
    "jwt",
    "sasl",
]
