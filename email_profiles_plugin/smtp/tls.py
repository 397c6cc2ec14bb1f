"""TLS as a profile wants it, and what a failed handshake means."""

from __future__ import annotations

import ssl
import threading
import warnings

from email_profiles_hookspecs import SmtpSettings
from email_profiles_hookspecs.errors import SubmissionError, TimedOut, TlsFailed

VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}

_WARNINGS = threading.Lock()


def context(settings: SmtpSettings) -> ssl.SSLContext:
    """
    A client context: certificate and host name verified unless the profile says no.

    Trusts *ca_file* alone where there is one, else what the machine trusts. Raises
    TlsFailed for a file that can't be read, and versions that this machine lacks. TLS
    1.0 and 1.1 come with the security level that they need (0), and only where the
    profile lists them.
    """
    try:
        made = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ValueError) as error:
        raise TlsFailed(
            "TLS", f"ca_file {settings.ca_file} can't be read: {error}", "correct it"
        ) from error
    if not settings.verify_certificate:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    listed = [VERSIONS[name] for name in settings.ssl_protocols]
    try:
        if min(listed) < ssl.TLSVersion.TLSv1_2:
            _allow_old(made, min(listed), max(listed))
        else:
            made.minimum_version, made.maximum_version = min(listed), max(listed)
    except (OSError, ValueError) as error:
        versions = ", ".join(settings.ssl_protocols)
        raise TlsFailed("TLS", f"this machine has no {versions}: {error}") from error
    return made


def _allow_old(
    made: ssl.SSLContext, oldest: ssl.TLSVersion, newest: ssl.TLSVersion
) -> None:
    """TLS 1.0 or 1.1, of which Python warns; the profile's owner has decided."""
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    with _WARNINGS, warnings.catch_warnings():  # its state is the whole process's
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = oldest, newest


def failed(error: OSError | ValueError, settings: SmtpSettings) -> SubmissionError:
    """The handshake's failure in words, with the remedy where the cause is known."""
    if isinstance(error, TimeoutError):
        return TimedOut(
            "TLS", "no handshake in time", "the port may not be one for TLS"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed("TLS", *_distrusted(error, settings))
    if not isinstance(error, ssl.SSLError):
        return TlsFailed("TLS", f"the handshake broke off: {error}")
    reason = (error.reason or str(error)).upper()
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        if not settings.use_ssl:
            return TlsFailed(
                "TLS",
                "what came after STARTTLS is not TLS",
                "look at the server's TLS settings, and who stands between",
            )
        return TlsFailed(
            "TLS",
            f"the server does not speak TLS on port {settings.port} from the start",
            "switch Use SSL/TLS off, and Use STARTTLS on",
        )
    ours = ", ".join(settings.ssl_protocols)
    if "PROTOCOL" in reason or "VERSION" in reason:
        return TlsFailed(
            "TLS",
            f"no TLS version in common; the profile allows {ours} ({reason})",
            "allow a version of the server in SSL Protocols",
        )
    if "EOF" in reason:
        return TlsFailed(
            "TLS",
            f"the server broke the handshake off; it may not take {ours}",
            "allow a version of the server in SSL Protocols",
        )
    return TlsFailed("TLS", f"the handshake failed: {reason}")


def _distrusted(
    error: ssl.SSLCertVerificationError, settings: SmtpSettings
) -> tuple[str, str]:
    said = error.verify_message
    if "Hostname mismatch" in said or "IP address mismatch" in said:
        return (
            f"the certificate is not for {settings.hostname}",
            "use the name that the certificate has as hostname",
        )
    if "expired" in said:
        return "the server's certificate has expired", "have it renewed"
    if "self-signed" in said or "self signed" in said or "issuer" in said:
        return (
            f"the certificate's issuer is not trusted ({said})",
            "name the issuer's certificate in ca_file",
        )
    return f"the certificate is not to be trusted ({said})", ""
