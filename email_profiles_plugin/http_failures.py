"""Why an HTTPS request got no answer: in words, with what to do about it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from attrs import frozen

from email_profiles_hookspecs.errors import HttpError

CONNECT_S = 10.0
"""Seconds that connecting, and the TLS handshake, may each take at most."""

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
"""What OpenSSL calls an answer that is no TLS at all."""

LOOK = "look at the address, and at the server"


@frozen(kw_only=True)
class Target:
    """Where a request goes, in words that hold neither path nor query."""

    scheme: str
    host: str
    place: str
    ca_file: str | None = None
    connect_s: float = CONNECT_S


def timed_out(target: Target) -> HttpError:
    """The deadline has passed, at whatever stage."""
    return HttpError(
        f"{target.place} timed out", "look at the server, and at the way there"
    )


def explain(
    error: BaseException, target: Target, *, over: bool
) -> tuple[HttpError, BaseException | None]:
    """
    A failure in words, and the system's own exception, where that is known.

    *over*: the connection was cut at the deadline.
    """
    from urllib3.exceptions import NameResolutionError

    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return _distrusted(one, target), one
        if isinstance(one, NameResolutionError):
            message = f"the name {target.host} does not resolve"
            return HttpError(message, "look at its spelling, and at the resolver"), None
    if over or any("Timeout" in type(one).__name__ for one in chain):
        return timed_out(target), None
    for one in chain:
        if isinstance(one, ssl.SSLError) and one.library == "X509":
            message = f"the CA file {target.ca_file} holds no certificates"
            return HttpError(message, "correct the client's CA file"), None
        if isinstance(one, ssl.SSLError) and one.reason:
            return _no_tls(one.reason, target), one
        if isinstance(one, OSError) and one.strerror:
            message = f"no connection to {target.place}: {one.strerror}"
            return HttpError(message, LOOK), one
    if isinstance(error, ValueError):
        what = type(error).__name__
        return HttpError(f"no valid request for {target.place} ({what})"), None
    message = f"{target.place} ended the connection without an answer"
    return HttpError(message, LOOK), None


def _no_tls(reason: str, target: Target) -> HttpError:
    message = f"no TLS connection to {target.place}: {reason}"
    if reason in NO_TLS:
        return HttpError(message, "that port speaks no TLS: look at the address")
    return HttpError(message, LOOK)


def _distrusted(error: ssl.SSLCertVerificationError, target: Target) -> HttpError:
    said = error.verify_message
    remedy = "name its authority's certificate in the client's CA file"
    if "mismatch" in said:
        remedy = "use the name that is in the certificate"
    elif "expired" in said or "not yet valid" in said:
        remedy = "have it renewed, or set the clock of this machine"
    return HttpError(
        f"the certificate of {target.place} is not to be trusted: {said}", remedy
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and what it wraps, in each of the ways that the libraries wrap."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [getattr(one, "reason", None), *one.args[:2]]
            waiting += [one.__cause__, one.__context__]
