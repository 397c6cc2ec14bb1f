"""What a plugin yields to add an authentication mode."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from attrs import Attribute, field, frozen

from .sasl import Sasl
from .services import Services, TokenStatus
from .values import Problem, Profile, Reply

_MODE = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _mode(instance: object, attribute: Attribute[str], value: str) -> None:
    if not _MODE.fullmatch(value):
        raise ValueError(f"mode {value!r} has to be lower_snake_case, 32 at most")


def _offers(value: Iterable[Sasl]) -> tuple[Sasl, ...]:
    return tuple(value)


@frozen(kw_only=True)
class Credential:
    """
    What opens one connection: mechanisms, best first; none means no AUTH.

    The core plays the first that the server offers. *identity* is who is signed in,
    *generation* the token's, where there is one.
    """

    offers: tuple[Sasl, ...] = field(converter=_offers)
    identity: str = ""
    generation: int = 0


class Authenticator(Protocol):
    """Where one profile's credentials come from; thread-safe."""

    def acquire(self, deadline: float) -> Credential:
        """
        A credential for a new connection; may do I/O until *deadline* (monotonic).

        Raises a contract error where there is none: SecretError, TokenError.
        """
        ...

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        """The server refused *credential*: may a second acquire help?"""
        ...


@runtime_checkable
class Manageable(Protocol):
    """
    An authenticator with a token to manage; optional.

    Whoever has it gets the manage-token page, the token commands and the health
    state. An action is called only while `status().actions` names it.
    """

    def status(self) -> TokenStatus: ...
    def refresh(self, deadline: float) -> TokenStatus: ...
    def revoke(self, deadline: float) -> None: ...


@frozen(kw_only=True)
class Redirect:
    """Where to send the user's browser, and what to keep, sealed, until it returns."""

    url: str
    kept: str = field(default="", repr=False)


@runtime_checkable
class Grantable(Manageable, Protocol):
    """
    A Manageable that a person can grant access to in a browser (action `grant`).

    *begin* may do I/O within a time of its own. *complete* is given the parameters
    with which the browser came back, after the caller has seen to `state`, and what
    *begin* gave to keep.
    """

    def begin(self, redirect_uri: str, state: str) -> Redirect: ...
    def complete(
        self, redirect_uri: str, query: Mapping[str, str], kept: str, deadline: float
    ) -> TokenStatus: ...


@frozen(kw_only=True)
class Device:
    """A device authorization in progress (RFC 8628, 3.2); times in seconds."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    device_code: str = field(repr=False)
    expires_in: int
    interval: int = 5


@runtime_checkable
class DeviceGrantable(Manageable, Protocol):
    """
    A Manageable that can be granted from another device (action `device`).

    *device_poll*, called every `interval` seconds till `expires_in` is over, is None
    while nobody has agreed yet; SlowDown says the same, and has the interval from now
    on, which the next *device* is given with. GrantRefused and NeedsGrant end it.
    """

    def device_begin(self, deadline: float) -> Device: ...
    def device_poll(self, device: Device, deadline: float) -> TokenStatus | None: ...


def _nothing_to_add(profile: Profile, services: Services) -> Iterable[Problem]:
    return ()


@frozen(kw_only=True)
class AuthProvider:
    """
    One authentication mode.

    *schema* is the JSON Schema of a profile's auth block without `mode`: it
    validates the block and draws the form. *build* does no I/O. *check*, optional,
    says what a schema can't.
    """

    mode: str = field(validator=_mode)
    title: str
    schema: Mapping[str, Any] = field(repr=False)
    build: Callable[[Profile, Services], Authenticator] = field(repr=False)
    check: Callable[[Profile, Services], Iterable[Problem]] = field(
        default=_nothing_to_add, repr=False
    )
