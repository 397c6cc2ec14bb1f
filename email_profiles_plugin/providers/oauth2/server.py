"""The authorization server, as one OAuth2 client of it deals with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from email_profiles_hookspecs import HttpReply, OAuth2Client, Services
from email_profiles_hookspecs.errors import TokenError

from . import metadata


@frozen
class Server:
    """Asks in the name of *client*, till *deadline* (monotonic) at the latest."""

    client: OAuth2Client
    services: Services = field(repr=False)
    deadline: float

    def endpoint(self, name: str) -> str | None:
        """The client's own, else the one in the issuer's metadata, else None."""
        own: str | None = getattr(self.client, name)
        if own is not None or self.client.issuer is None:
            return own
        value = self.metadata().get(name)
        return value if isinstance(value, str) else None

    def post(self, endpoint: str, form: Mapping[str, str]) -> HttpReply:
        """RFC 6749, 2.3.1: the request, with the client's proof of who it is."""
        client, auth, method = self.client, None, self.client.token_endpoint_auth_method
        if method == "none":
            form = {**form, "client_id": client.client_id}
        elif method in ("client_secret_basic", "client_secret_post"):
            if client.client_secret is None:
                raise TokenError(
                    f"OAuth2 client {client.name!r} has no client secret",
                    "set it, or another way for the client to authenticate",
                )
            secret = self.services.secrets.read(client.client_secret)
            if method == "client_secret_basic":
                auth = (client.client_id, secret)
            else:
                proof = {"client_id": client.client_id, "client_secret": secret}
                form = {**form, **proof}
        else:
            raise TokenError(
                f"OAuth2 client {client.name!r} authenticates by {method}, which comes "
                "in a later version",
                "choose client_secret_basic or client_secret_post",
            )
        return self._request("POST", endpoint, form=form, auth=auth)

    def metadata(self) -> dict[str, Any]:
        """What the client's issuer says of itself; TokenError where it says nothing."""
        issuer, found = self.client.issuer or "", list[str]()
        for url in metadata.places(issuer):
            reply = self._request("GET", url)
            said = metadata.read_object(reply.body) if reply.status == 200 else {}
            if said.get("issuer") == issuer:  # RFC 8414, 3.3
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
        auth: tuple[str, str] | None = None,
    ) -> HttpReply:
        client, clock = self.client, self.services.clock
        return self.services.http.request(
            method,
            url,
            form=form,
            auth=auth,
            ca_file=client.ca_file,
            connect_timeout_s=client.connect_timeout_ms / 1000,
            deadline=min(
                self.deadline, clock.monotonic() + client.request_timeout_ms / 1000
            ),
        )
