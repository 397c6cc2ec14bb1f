"""
Fixtures for whoever tests a provider: loopback servers, stopped at teardown.

Loaded through the entry point `pytest11`, so it imports nothing but pytest until
a fixture is asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .authorization_server import AuthorizationServer
    from .certificates import CertificateAuthority
    from .smtp_server import SmtpServer


@pytest.fixture(scope="session")
def certificate_authority(
    tmp_path_factory: pytest.TempPathFactory,
) -> CertificateAuthority:
    """An authority that only this run trusts; `ca_file` is what clients are given."""
    from .certificates import CertificateAuthority

    return CertificateAuthority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def smtp_server_factory(
    certificate_authority: CertificateAuthority,
) -> Iterator[Callable[..., SmtpServer]]:
    """
    Start SMTP servers with any options of `SmtpServer`; all are stopped at teardown.

    With `tls` and no `ssl_context`, the certificate is for localhost, issued by
    `certificate_authority`.
    """
    from .smtp_server import SmtpServer

    with ExitStack() as running:

        def start(**options: Any) -> SmtpServer:
            if options.get("tls", "none") != "none":
                options.setdefault(
                    "ssl_context", certificate_authority.server_context()
                )
            return running.enter_context(SmtpServer(**options))

        yield start


@pytest.fixture
def smtp_server(smtp_server_factory: Callable[..., SmtpServer]) -> SmtpServer:
    """A server with STARTTLS and one user, `gateway`; `users` has the password."""
    return smtp_server_factory(
        tls="starttls", users={"gateway": secrets.token_urlsafe(16)}
    )


@pytest.fixture
def authorization_server(
    certificate_authority: CertificateAuthority,
) -> Iterator[AuthorizationServer]:
    """A running authorization server; `client` is a confidential client of it."""
    from .authorization_server import AuthorizationServer

    with AuthorizationServer(certificate_authority) as server:
        yield server
