"""All parts, joined: what looks like an upward call is a callable given here."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pluggy
from attrs import define, field, frozen

from email_profiles_hookspecs import Profile, Receipt, SendRequest
from email_profiles_hookspecs.errors import NotFound
from email_profiles_hookspecs.services import Clock

from . import plugins as plugin_loader
from .access import Access
from .announcement import Announcer
from .builtin import BuiltIn, Guard
from .client_trial import ClientDocuments
from .clock import SystemChance
from .consumer_kinds import consumer_kinds
from .granting import Granting
from .http import HttpClient
from .keepsakes import Keepsakes
from .kinds import Kind, client_kind, profile_kind
from .management import TokenManagement
from .outbox.delivery import Delivery, Pace
from .outbox.desk import Outbox
from .outbox.heart import Heart
from .outbox.intake import Intake
from .outbox.record import Record
from .outbox.recovery import Recovery
from .outbox.worker import Worker
from .plugins import Plugins
from .profiles import Documents
from .provision import Provision
from .renewal import Renewal
from .resolution import Resolver
from .sealing import Sealer
from .secrets import Keyring
from .sign_ins import SignIns
from .smtp.pool import Pool
from .store.database import Database
from .submission import Submitter
from .tokens import TokenKeeper
from .trial import ProfileDocuments


@frozen(kw_only=True)
class Settings:
    """What `EmailProfiles.open` was asked for, in seconds where it is time."""

    home: Path
    blocked: Collection[str] = ()
    only: Collection[str] | None = None
    pace: Pace = field(factory=Pace)
    lease_s: float = 30
    retention_s: float = 30 * 86_400


@define(kw_only=True, eq=False)
class Assembly:
    """Builds the parts, from those that know nothing to those that know most."""

    settings: Settings
    database: Database
    clock: Clock
    chance: SystemChance
    manager: pluggy.PluginManager
    pool: Pool = field(factory=Pool)
    keyring: Keyring = field(init=False)
    plugins: Plugins = field(init=False)
    builtin: BuiltIn = field(init=False)
    keeper: TokenKeeper = field(init=False)
    granting: Granting = field(init=False)
    resolver: Resolver = field(init=False)
    announcer: Announcer = field(init=False)
    intake: Intake = field(init=False)
    outbox: Outbox = field(init=False)
    profiles: ProfileDocuments = field(init=False)
    clients: ClientDocuments = field(init=False)
    documents: Mapping[str, Documents] = field(init=False)
    """All that are stored under a name, by their kind."""
    tokens: TokenManagement = field(init=False)
    access: Access = field(init=False)
    sign_ins: SignIns = field(init=False)
    keepsakes: Keepsakes = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.keyring = Keyring(self.settings.home / "key")
        self.plugins = Plugins(manager=self.manager)
        self.keeper = TokenKeeper(self.database, self.keyring, self.clock, self.chance)
        provision = Provision(
            database=self.database,
            keyring=self.keyring,
            clock=self.clock,
            http=HttpClient(self.clock),
            tokens=self.keeper,
            schemas=lambda: self.resolver.schemas(),
        )
        self.resolver = Resolver(
            database=self.database,
            providers=lambda: self.plugins.providers,
            services=provision.services,
            ask=self.ask,
        )
        self.announcer = Announcer(
            database=self.database, clock=self.clock, manager=self.manager
        )
        self.intake = Intake(
            database=self.database,
            clock=self.clock,
            chance=self.chance,
            resolve=self.ask,
        )
        self.outbox = self._outbox()
        self._documents(provision)
        self.tokens = self._tokens(provision)
        self.access = Access(self.database, self.clock, self.chance)
        self.sign_ins = SignIns(self.database, self.clock, self.chance)
        self.builtin = BuiltIn(self.resolver.stored, self._queue)
        plugin_loader.load(
            self.plugins,
            core=self.builtin,
            guard=Guard(self.builtin, self.resolver.accept),
            blocked=self.settings.blocked,
            only=self.settings.only,
        )

    def ask(self, name: str) -> Profile | None:
        """The hook `email_profiles_resolve`."""
        found: Profile | None = self.manager.hook.email_profiles_resolve(name=name)
        return found

    def known(self, name: str) -> Profile:
        """The profile of that name; NotFound."""
        found = self.ask(name)
        if found is None:
            raise NotFound("email profile", name)
        return found

    def _outbox(self) -> Outbox:
        worker = Worker(self.database, self.clock, self.chance, self.settings.lease_s)
        record = Record(
            database=self.database,
            clock=self.clock,
            chance=self.chance,
            announce=self.announcer.announce,
            observed=self.announcer.observed,
        )
        return Outbox(
            database=self.database,
            clock=self.clock,
            worker=worker,
            record=record,
            delivery=self._delivery(worker, record),
            heart=self._heart(worker, record),
            resolve=self.ask,
            send=self._send,
            announce=self.announcer.announce,
            settled=self.announcer.settled,
        )

    def _delivery(self, worker: Worker, record: Record) -> Delivery:
        resolver = self.resolver
        delivery = Delivery(
            database=self.database,
            clock=self.clock,
            worker=worker,
            record=record,
            submitter=Submitter(
                self.pool, resolver.authenticator, resolver.stamp, _print_debug
            ),
            profile=resolver.profile,
            pace=self.settings.pace,
        )
        self.keeper.changed = delivery.wake  # who waits for a token may go on
        return delivery

    def _heart(self, worker: Worker, record: Record) -> Heart:
        recovery = Recovery(
            database=self.database,
            clock=self.clock,
            chance=self.chance,
            profile=self.resolver.profile,
            announce=self.announcer.announce,
        )
        renewal = Renewal(
            database=self.database,
            clock=self.clock,
            profile=self.resolver.by_id,
            authenticator=self.resolver.authenticator,
        )
        return Heart(
            database=self.database,
            clock=self.clock,
            worker=worker,
            record=record,
            recovery=recovery,
            pool=self.pool,
            announce=self.announcer.announce,
            renew=renewal.look,
            retention_s=self.settings.retention_s,
        )

    def _tokens(self, provision: Provision) -> TokenManagement:
        kept: dict[str, Any] = {
            "database": self.database,
            "keyring": self.keyring,
            "clock": self.clock,
            "chance": self.chance,
        }
        self.granting, self.keepsakes = Granting(**kept), Keepsakes(**kept)
        return TokenManagement(
            database=self.database,
            clock=self.clock,
            granting=self.granting,
            profile=self.known,
            by_id=self.resolver.by_id,
            authenticator=self.resolver.authenticator,
            fingerprint=provision.fingerprint,
            callback_uid=self.resolver.callback_uid,
        )

    def _documents(self, provision: Provision) -> None:
        profile = profile_kind(
            lambda: self.plugins.providers,
            provision.services,
            lambda: self.clock.now().timestamp(),
        )
        client = client_kind()
        consumers = tuple(consumer_kinds(profile))
        kinds = {kind.name: kind for kind in (profile, client, *consumers)}

        def common(kind: Kind) -> dict[str, Any]:
            return {
                "kind": kind,
                "database": self.database,
                "sealer": Sealer(
                    keyring=self.keyring, schema=kind.schema, moved=kind.moved
                ),
                "clock": self.clock,
                "chance": self.chance,
                "changed": self.outbox.delivery.wake,
                "schema_of": lambda stored: kinds[stored.kind].schema(stored.body),
            }

        self.clients = ClientDocuments(**common(client), services=provision.services)
        self.profiles = ProfileDocuments(
            **common(profile),
            build=self.resolver.build,
            debug=_print_debug,
            resolve=self.known,
            schemas=self.resolver.schemas,
            fingerprint=provision.fingerprint,
        )
        self.documents = {
            profile.name: self.profiles,
            client.name: self.clients,
            **{kind.name: Documents(**common(kind)) for kind in consumers},
        }

    def _send(self, request: SendRequest) -> Receipt:
        """The hook `email_profiles_send`."""
        receipt: Receipt = self.manager.hook.email_profiles_send(request=request)
        return receipt

    def _queue(self, request: SendRequest) -> Receipt:
        """What the built-in does with a message that nobody else took."""
        receipt = self.intake.queue(request)
        self.outbox.delivery.wake()
        return receipt


def _print_debug(line: str) -> None:
    """To standard error; a host that has none sends its mail all the same."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
