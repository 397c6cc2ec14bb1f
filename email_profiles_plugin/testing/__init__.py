"""
Loopback servers, for tests of providers and for `email-profiles demo`.

They need the extra `test` or `demo`. With pytest, take the fixtures of
`email_profiles_plugin.testing.pytest_plugin`, which is loaded by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .authorization_server import AuthorizationServer as AuthorizationServer
    from .certificates import CertificateAuthority as CertificateAuthority
    from .dovecot import Dovecot as Dovecot
    from .gate import Gate as Gate
    from .mail_system import MailSystem as MailSystem
    from .postfix import Listener as Listener
    from .postfix import Postfix as Postfix
    from .registrations import AuthorizationRules as AuthorizationRules
    from .registrations import RegisteredClient as RegisteredClient
    from .smtp_server import Delivered as Delivered
    from .smtp_server import SmtpServer as SmtpServer

__all__ = [
    "AuthorizationRules",
    "AuthorizationServer",
    "CertificateAuthority",
    "Delivered",
    "Dovecot",
    "Gate",
    "Listener",
    "MailSystem",
    "Postfix",
    "RegisteredClient",
    "SmtpServer",
]


def __getattr__(name: str) -> object:
    modules = {
        "AuthorizationRules": "registrations",
        "AuthorizationServer": "authorization_server",
        "CertificateAuthority": "certificates",
        "Delivered": "smtp_server",
        "Dovecot": "dovecot",
        "Gate": "gate",
        "Listener": "postfix",
        "MailSystem": "mail_system",
        "Postfix": "postfix",
        "RegisteredClient": "registrations",
        "SmtpServer": "smtp_server",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{modules[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
