"""
A certificate authority for loopback servers, good ones and deliberately bad ones.
"""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme


class CertificateAuthority:
    """
    Issues certificates that whoever trusts `ca_file` accepts.

    The authority's own certificate is written to *folder* (PEM); its key is not kept
    in a file.
    """

    def __init__(self, folder: Path) -> None:
        import trustme

        self._authority: trustme.CA = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def server_context(
        self,
        *hostnames: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> ssl.SSLContext:
        """
        The server's side of TLS, with a new certificate for *hostnames*.

        None named: localhost by name and by both addresses. Name another host, or
        give a *not_after* in the past, for a certificate that clients must refuse.
        """
        names = hostnames or ("localhost", "127.0.0.1", "::1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = self._authority.issue_cert(
            *names, not_before=not_before, not_after=not_after
        )
        certificate.configure_cert(context)
        return context

    def write_certificate(
        self, path: Path, *hostnames: str, not_after: datetime | None = None
    ) -> None:
        """
        Write a new certificate as above, its key before it (PEM), for a daemon.

        Nobody else may read the file.
        """
        names = hostnames or ("localhost", "127.0.0.1", "::1")
        made = self._authority.issue_cert(*names, not_after=not_after)
        path.touch(mode=0o600)
        path.write_bytes(made.private_key_and_cert_chain_pem.bytes())

    def client_context(self) -> ssl.SSLContext:
        """A verifying client's side of TLS, which trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.ca_file))
