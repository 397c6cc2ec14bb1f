"""The composition root: builds all parts, joins them, and is the facade to them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs
import pluggy
from attrs import define, field
from sqlalchemy import Connection

from email_profiles_hookspecs import Outcome, Profile, Receipt, SendRequest
from email_profiles_hookspecs.services import Clock

from . import plugins as plugin_loader
from .access import Access
from .assembly import Assembly, Settings
from .builtin import BuiltIn
from .client_trial import ClientDocuments
from .clock import SystemChance, SystemClock
from .consumer_kinds import ALARM_NOTIFICATION, REPORT_SCHEDULE
from .granting import Granting
from .keepsakes import Keepsakes
from .management import TokenManagement
from .outbox.delivery import Pace
from .outbox.desk import Outbox
from .outbox.intake import is_text
from .plugins import Plugins
from .profiles import Documents
from .secrets import Keyring
from .sign_ins import SignIns
from .smtp.pool import Pool
from .store import audit, documents, health
from .store.audit import Entry
from .store.database import Database
from .store.health import Health
from .tokens import TokenKeeper
from .trial import ProfileDocuments

HOME = "EMAIL_PROFILES_HOME"
DATABASE = "EMAIL_PROFILES_DATABASE"
DAY_S = 86_400


@define(kw_only=True, eq=False)
class EmailProfiles:
    """
    Everything that a host, the command line or the console does goes through this.

    `open` builds it; it is a context manager, and thread-safe. *documents* are all
    that are stored under a name, by their kind (`email_profile`). *database*, *clock*
    and *chance* are for consumers, who keep state of their own.
    """

    home: Path
    profiles: ProfileDocuments
    clients: ClientDocuments
    documents: Mapping[str, Documents]
    tokens: TokenManagement
    outbox: Outbox
    plugins: Plugins
    access: Access
    sign_ins: SignIns
    keepsakes: Keepsakes
    keyring: Keyring = field(repr=False)
    database: Database = field(repr=False)
    clock: Clock = field(repr=False)
    chance: SystemChance = field(repr=False)
    _builtin: BuiltIn = field(repr=False, alias="builtin")
    _pool: Pool = field(repr=False, alias="pool")
    _keeper: TokenKeeper = field(repr=False, alias="keeper")
    _granting: Granting = field(repr=False, alias="granting")

    @classmethod
    def open(
        cls,
        home: str | os.PathLike[str] | None = None,
        *,
        database: str | None = None,
        plugin_manager: pluggy.PluginManager | None = None,
        deliver: bool = True,
        blocked: Collection[str] = (),
        only: Collection[str] | None = None,
        pace: Pace | None = None,
        lease_s: float = 30,
        retention_days: float = 30,
        clock: Clock | None = None,
        chance: SystemChance | None = None,
    ) -> EmailProfiles:
        """
        Find plugins, open the store, start delivery in threads of this process.

        *home* holds the database and the key (EMAIL_PROFILES_HOME, else the
        platform's data folder); *database* is its URL (EMAIL_PROFILES_DATABASE, else
        a SQLite file in *home*). *plugin_manager* is the host's own, through
        AcceptsEmailProfiles. *deliver* False leaves messages to another process.
        *blocked* and *only* name external plugins. Raises StoreUnavailable; TypeError
        for a manager that others which are open use, or that takes no hooks of ours.
        """
        place = Path(
            home
            or os.environ.get(HOME)
            or platformdirs.user_data_path("email-profiles")
        ).absolute()
        url = database or os.environ.get(DATABASE)
        manager = plugin_loader.prepared(plugin_manager)
        parts = Assembly(
            settings=Settings(
                home=place,
                blocked=blocked,
                only=only,
                pace=pace or Pace(),
                lease_s=lease_s,
                retention_s=retention_days * DAY_S,
            ),
            database=Database.open(url or f"sqlite:///{place / 'email_profiles.db'}"),
            clock=clock or SystemClock(),
            chance=chance or SystemChance(),
            manager=manager,
        )
        opened = cls._joined(place, parts)
        return opened._started() if deliver else opened

    @classmethod
    def _joined(cls, place: Path, parts: Assembly) -> Self:
        return cls(
            home=place,
            profiles=parts.profiles,
            clients=parts.clients,
            documents=parts.documents,
            tokens=parts.tokens,
            outbox=parts.outbox,
            plugins=parts.plugins,
            access=parts.access,
            sign_ins=parts.sign_ins,
            keepsakes=parts.keepsakes,
            keyring=parts.keyring,
            database=parts.database,
            clock=parts.clock,
            chance=parts.chance,
            builtin=parts.builtin,
            pool=parts.pool,
            keeper=parts.keeper,
            granting=parts.granting,
        )

    def start(self) -> None:
        """Begin to deliver."""
        self.outbox.heart.start()
        self.outbox.delivery.start()

    def _started(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Finish what is being sent, and let go of everything, whatever fails."""
        self._builtin.closed = True
        with ExitStack() as last:  # from the last to the first
            last.callback(self.database.close)
            last.callback(self.plugins.withdraw)
            last.callback(self._keeper.close)
            last.callback(self._pool.close)
            last.callback(self.outbox.heart.stop)
            last.callback(self.outbox.delivery.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def alarm_notifications(self) -> Documents:
        """Who is told of which alarms; `consumers.alarms` works by these."""
        return self.documents[ALARM_NOTIFICATION]

    @property
    def report_schedules(self) -> Documents:
        """When which report is sent to whom; `consumers.reports` works by these."""
        return self.documents[REPORT_SCHEDULE]

    def resolve(self, name: str) -> Profile | None:
        """The hook `email_profiles_resolve`: the profile of that name, or None."""
        found: Profile | None = self.plugins.manager.hook.email_profiles_resolve(
            name=name
        )
        return found

    def send(self, request: SendRequest) -> Receipt:
        """The hook `email_profiles_send`: queue *request* durably."""
        receipt: Receipt = self.plugins.manager.hook.email_profiles_send(
            request=request
        )
        return receipt

    def outcome(self, id: str, wait: float = 0) -> Outcome | None:
        """What became of message *id*; None if it is not settled in *wait* seconds."""
        return self.outbox.outcome(id, wait)

    def outcomes(self, since: datetime) -> Sequence[Outcome]:
        """What was settled at or after *since*, oldest first."""
        return self.outbox.outcomes(since)

    def deliver(self, request: SendRequest, timeout: float = 300) -> Outcome:
        """
        Send *request* now, and say what became of it.

        What can't be sent within *timeout* seconds is cancelled, or raises Unknown.
        """
        return self.outbox.deliver(request, timeout).outcome

    def health(self, name: str) -> Health:
        """How a profile fares: pause and reason, last success, last failure."""
        with self.database.read() as connection:
            stored = documents.by_name(connection, self.profiles.kind.name, name)
        found = stored or self.resolve(name)
        if found is None:
            raise self.profiles.missing(name)
        with self.database.read() as connection:
            return health.read(connection, found.id)

    def healths(self, ids: Collection[str]) -> dict[str, Health]:
        """How stored profiles fare, by their ids; a few hundred at most."""
        with self.database.read() as connection:
            return health.of_all(connection, ids)

    def trail(
        self,
        *,
        subject_id: str | None = None,
        text: str = "",
        after: int | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """
        Who changed what, the newest first; of one document or message if named.

        *text* is in a subject's name or an actor's. To read on, give the last one's
        id as *after*.
        """
        if not is_text(text):
            return []
        with self.database.read() as connection:
            return audit.entries(
                connection, subject_id=subject_id, text=text, after=after, limit=limit
            )

    def now(self) -> datetime:
        """The time by which all of this goes, UTC."""
        return self.clock.now()

    def rotate_key(self, *, actor: str = "") -> int:
        """Seal every secret with a new key; how many documents hold any."""
        return self.keyring.rotate(lambda: self._reseal("rotate the key", actor))

    def retire_key(self, *, actor: str = "") -> int:
        """
        Drop all keys but the newest; how many went.

        Whatever an older one still seals is sealed anew before; SecretError, with all
        keys kept, where that can't be done.
        """
        return self.keyring.retire(lambda: self._reseal("retire old keys", actor))

    def _reseal(self, action: str, actor: str) -> int:
        now = self.clock.now().timestamp()

        def work(connection: Connection) -> int:
            count = sum(each.reseal(connection) for each in self.documents.values())
            self._keeper.reseal(connection)
            self._granting.reseal(connection)
            entry = Entry(
                at=now,
                actor=actor,
                action=action,
                kind="key",
                subject_id="",
                subject=str(self.keyring.path),
                detail={"documents": count},
            )
            audit.record(connection, entry)
            return count

        return self.database.write(work)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a copy of the database to *path*; the key is another file."""
        self.database.backup(Path(path))
