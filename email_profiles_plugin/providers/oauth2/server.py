"""The authorization server, as one OAuth2 client of it deals with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from attrs import field, frozen

from email_profiles_hookspecs import HttpReply, OAuth2Client, Services
from email_profiles_hookspecs.errors import HttpError, TokenError

from . import metadata
from .proof import Proof, prove


@frozen(kw_only=True)
class Server:
    """
    Asks in the name of *client*, till *deadline* (monotonic) at the latest.

    For one operation: metadata is looked up once, and noted in *learnt*, by issuer.
    """

    client: OAuth2Client
    services: Services = field(repr=False)
    deadline: float
    unique: Callable[[], str] = field(repr=False)
    learnt: dict[str, Mapping[str, Any]] = field(factory=dict, repr=False)

    def endpoint(self, name: str) -> str | None:
        """The client's own, else the one in the issuer's metadata, else None."""
        own: str | None = getattr(self.client, name)
        if own is not None or self.client.issuer is None:
            return own
        value = self.metadata.get(name)
        return value if isinstance(value, str) else None

    def needed(self, name: str) -> str:
        """As `endpoint`; TokenError where there is none."""
        found = self.endpoint(name)
        if found is None:
            raise TokenError(
                f"OAuth2 client {self.client.name!r} has no {name.replace('_', ' ')}",
                "set it, or an issuer whose metadata has one",
            )
        return found

    def post(self, endpoint: str, form: Mapping[str, str]) -> HttpReply:
        """The request, with the client's proof of who it is."""
        return self._request("POST", endpoint, form=form, proof=self.proof())

    def proof(self) -> Proof:
        """The client's proof of who it is; TokenError, SecretError: it has none."""
        services = self.services
        now, unique = services.clock.now(), self.unique()
        return prove(self.client, services.secrets, now, unique)

    def promises_issuer(self) -> bool:
        """
        Whether authorization answers hold `iss`, as the metadata says (RFC 9207, 3).

        No metadata, no promise: all that is needed may stand in the client.
        """
        if self.client.issuer is None:
            return False
        try:
            said = self.metadata
        except (TokenError, HttpError) as error:
            log = self.services.logger
            log.info("OAuth2 client %r: %s", self.client.name, error)
            return False
        return said.get("authorization_response_iss_parameter_supported") is True

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """What the client's issuer says of itself; TokenError where it says nothing."""
        issuer, found = self.client.issuer or "", list[str]()
        for url in metadata.places(issuer):
            reply = self._request("GET", url)
            said = metadata.read_object(reply.body) if reply.status == 200 else {}
            if said.get("issuer") == issuer:  # RFC 8414, 3.3
                self.learnt[issuer] = said
                return said
            if "issuer" in said:
                found.append(str(said["issuer"])[: metadata.LONGEST])
        if found:
            raise TokenError(
                f"the metadata is of issuer {found[0]!r}, not {issuer!r}",
                "correct the issuer, to the letter, or set the endpoints",
            )
        raise TokenError(
            f"the issuer {issuer} has no metadata",
            "correct the issuer, or set the endpoints",
        )

    def _request(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        proof: Proof | None = None,
    ) -> HttpReply:
        client, clock = self.client, self.services.clock
        own = clock.monotonic() + client.request_timeout_ms / 1000
        return self.services.http.request(
            method,
            url,
            form=None if form is None else {**form, **(proof.form if proof else {})},
            auth=proof.auth if proof else None,
            ca_file=client.ca_file,
            connect_timeout_s=client.connect_timeout_ms / 1000,
            deadline=min(self.deadline, own),
        )
