"""
Loopback servers, for tests of providers and for `email-profiles demo`; and what proves
a provider, `check_provider`.

They need the extra `test` or `demo`. With pytest, take the fixtures of
`email_profiles_plugin.testing.pytest_plugin`, which is loaded by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .authorization_server import AuthorizationServer as AuthorizationServer
    from .certificates import CertificateAuthority as CertificateAuthority
    from .conformance import BrokenPromises as BrokenPromises
    from .conformance import check_provider as check_provider
    from .dovecot import Dovecot as Dovecot
    from .fake_services import FakeClock as FakeClock
    from .fake_services import FakeServices as FakeServices
    from .fake_services import json_reply as json_reply
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
    "BrokenPromises",
    "CertificateAuthority",
    "Delivered",
    "Dovecot",
    "FakeClock",
    "FakeServices",
    "Gate",
    "Listener",
    "MailSystem",
    "Postfix",
    "RegisteredClient",
    "SmtpServer",
    "check_provider",
    "json_reply",
]


def __getattr__(name: str) -> object:
    modules = {
        "AuthorizationRules": "registrations",
        "AuthorizationServer": "authorization_server",
        "BrokenPromises": "conformance",
        "CertificateAuthority": "certificates",
        "Delivered": "smtp_server",
        "Dovecot": "dovecot",
        "FakeClock": "fake_services",
        "FakeServices": "fake_services",
        "Gate": "gate",
        "Listener": "postfix",
        "MailSystem": "mail_system",
        "Postfix": "postfix",
        "RegisteredClient": "registrations",
        "SmtpServer": "smtp_server",
        "check_provider": "conformance",
        "json_reply": "fake_services",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{modules[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
