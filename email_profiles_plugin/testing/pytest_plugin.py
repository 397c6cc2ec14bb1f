"""
Fixtures for whoever tests a provider: loopback servers, stopped at teardown.

Loaded through the entry point `pytest11`, so it imports nothing but pytest until
a fixture is asked for.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..runtime import EmailProfiles
    from .authorization_server import AuthorizationServer
    from .certificates import CertificateAuthority
    from .mail_system import MailSystem
    from .smtp_server import SmtpServer

REQUIRED = "EMAIL_PROFILES_REQUIRE_SERVICES"
"""Where it is 1 in the environment, what is not installed is a failure, no skip."""


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


@pytest.fixture(scope="session")
def mail_system(certificate_authority: CertificateAuthority) -> Iterator[MailSystem]:
    """
    Debian's Postfix and Dovecot, one pair for all tests of a worker.

    Its tests share it: each had better have a user, a client and addresses of its
    own. Skips where they are not installed; needs root.
    """
    from .daemons import ServiceMissing
    from .mail_system import MailSystem

    system = MailSystem(certificate_authority=certificate_authority)
    try:
        system.start()
    except ServiceMissing as missing:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{missing}, and {REQUIRED} is 1")
        pytest.skip(str(missing))
    try:
        yield system
    finally:
        system.stop()


@pytest.fixture
def open_profiles(tmp_path: Path) -> Iterator[Callable[..., EmailProfiles]]:
    """
    Open `EmailProfiles` with any of its options; all are closed at teardown.

    The home is a folder of the test's own, plugins of the machine are left alone.
    """
    from ..runtime import EmailProfiles

    with ExitStack() as opened:

        def start(**options: Any) -> EmailProfiles:
            options = {"home": tmp_path / "home", "only": (), **options}
            return opened.enter_context(EmailProfiles.open(**options))

        yield start


@pytest.fixture
def email_profiles(open_profiles: Callable[..., EmailProfiles]) -> EmailProfiles:
    """An empty store in a folder of the test's own; delivers."""
    return open_profiles()


@pytest.fixture
def profile_document(
    certificate_authority: CertificateAuthority,
) -> Callable[..., dict[str, Any]]:
    """
    The document of an email profile for one of the servers here.

    Keywords replace or add blocks: `auth=...`, `policy=...`; mode basic with the
    server's first user where there is one.
    """

    def made(server: SmtpServer, name: str = "plant", **blocks: Any) -> dict[str, Any]:
        smtp = {
            "hostname": "localhost",
            "port": server.port,
            "use_ssl": server.tls == "implicit",
            "use_starttls": server.tls == "starttls",
            "ca_file": str(certificate_authority.ca_file),
            "ssl_protocols": ["TLSv1.2", "TLSv1.3"],
            **blocks.pop("smtp", {}),
        }
        auth: dict[str, Any] = {"mode": "basic"}
        for username, password in (server.users or {}).items():
            auth = {"mode": "basic", "username": username, "password": password}
            break
        return {"name": name, "smtp": smtp, "auth": auth, **blocks}

    return made
