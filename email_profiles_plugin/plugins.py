"""Plugins: found, loaded one by one, and left out one by one where they fail."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import entry_points
from typing import Any, cast

import pluggy
from attrs import define, field, frozen

from email_profiles_hookspecs import PROJECT, AuthProvider, specs

from .providers import basic, oauth2

log = logging.getLogger(__name__)

ONLY = "EMAIL_PROFILES_PLUGINS"
"""Names of the external plugins to load, commas between; empty: none (safe mode)."""

BUILT_IN = "built in"
CORE = "email_profiles"
GUARD = "email_profiles_guard"


@frozen(kw_only=True)
class PluginFailure:
    """A plugin that was left out, and why."""

    plugin: str
    reason: str
    source: str = ""
    """Its distribution, where that is known."""


@frozen(kw_only=True)
class PluginInfo:
    """A plugin that is in use; *source* is its distribution, or `built in`."""

    name: str
    source: str
    modes: tuple[str, ...]
    hooks: tuple[str, ...]


@define(kw_only=True)
class Plugins:
    """What was loaded: the manager, the authentication modes, and what failed."""

    manager: pluggy.PluginManager
    providers: dict[str, AuthProvider] = field(factory=dict)
    failures: list[PluginFailure] = field(factory=list)
    loaded: list[PluginInfo] = field(factory=list)
    _ours: list[object] = field(factory=list)

    def add(self, plugin: object, name: str, source: str) -> None:
        """Register *plugin* and take its modes, wholly or not at all."""
        try:
            self.manager.register(plugin, name)
        except Exception as error:
            self.leave_out(name, error, source)
            return
        if self._accept(plugin, name, source):
            self._ours.append(plugin)
        else:
            self.manager.unregister(plugin)

    def take(self, plugin: object, name: str) -> None:
        """Take the modes of a plugin that the host has registered."""
        if plugin is not None and self._callers(plugin):
            self._accept(plugin, name, "the host")

    def leave_out(self, name: str, error: BaseException, source: str = "") -> None:
        """Note that a plugin is not used, and why."""
        reason = f"{type(error).__name__}: {error}"
        log.warning("plugin %s is left out: %s", name, reason)
        log.debug("plugin %s", name, exc_info=error)
        failure = PluginFailure(plugin=name, reason=reason, source=source)
        self.failures.append(failure)

    def _accept(self, plugin: object, name: str, source: str) -> bool:
        try:
            callers = self._callers(plugin)
            if not callers:
                raise TypeError("implements no hook: is @hookimpl missing?")
            for caller in callers:
                if not caller.has_spec():
                    raise TypeError(f"there is no hook {caller.name}: is it misspelt?")
            offered = list(self._offered(plugin, trusted=source == BUILT_IN))
        except Exception as error:
            self.leave_out(name, error, source)
            return False
        self.providers.update({provider.mode: provider for provider in offered})
        self.loaded.append(
            PluginInfo(
                name=name,
                source=source,
                modes=tuple(provider.mode for provider in offered),
                hooks=tuple(caller.name for caller in callers),
            )
        )
        return True

    def withdraw(self) -> None:
        """
        Unregister what was registered here, as the manager may be the host's.

        The built-in stays, and answers that it is closed.
        """
        for plugin in reversed(self._ours):
            name = self.manager.get_name(plugin)
            if name not in (None, CORE, GUARD):
                self.manager.unregister(plugin)
        self._ours.clear()

    def _callers(self, plugin: object) -> list[pluggy.HookCaller]:
        found = self.manager.get_hookcallers(plugin) or []
        return [caller for caller in found if caller.name.startswith(PROJECT)]

    def _offered(self, plugin: object, *, trusted: bool) -> Iterator[AuthProvider]:
        """The plugin's providers, each checked; asked of it alone."""
        seen: set[str] = set()
        caller = self.manager.hook.email_profiles_auth_providers
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            for provider in cast(Iterable[Any], implementation.function() or ()):
                if not isinstance(provider, AuthProvider):
                    raise TypeError(f"yielded no AuthProvider but {provider!r:.80}")
                if provider.mode in self.providers or provider.mode in seen:
                    raise ValueError(f"mode {provider.mode!r} is taken")
                reasons = [] if trusted else check_schema(provider)
                if reasons:
                    raise ValueError(f"mode {provider.mode!r}: {'; '.join(reasons)}")
                seen.add(provider.mode)
                yield provider


def check_schema(provider: AuthProvider) -> list[str]:
    """Why the provider's schema can't be used."""
    from .documents import check_auth_schema

    return check_auth_schema(provider.schema)


def load(
    plugins: Plugins,
    *,
    core: object,
    guard: object,
    blocked: Collection[str] = (),
    only: Collection[str] | None = None,
    group: str = PROJECT,
) -> None:
    """
    Fill *plugins*: the built-in ones first, so that they are asked last.

    What the host registered before is taken too. External ones come from the entry
    points of *group*; *blocked* names are never imported, and where *only* is given
    (or EMAIL_PROFILES_PLUGINS is set) no others are. The *guard* goes around all.
    """
    manager = plugins.manager
    for name in (CORE, GUARD):
        if manager.has_plugin(name):
            manager.unregister(name=name)  # of a facade that was closed before
    before = manager.list_name_plugin()
    plugins.add(core, CORE, BUILT_IN)
    plugins.add(basic, "basic", BUILT_IN)
    plugins.add(oauth2, "oauth2", BUILT_IN)
    for name, plugin in before:
        plugins.take(plugin, name)
    if only is None and ONLY in os.environ:
        only = [name.strip() for name in os.environ[ONLY].split(",")]
    for point in sorted(entry_points(group=group), key=lambda one: one.name):
        wanted = only is None or point.name in only
        if not wanted or point.name in blocked or manager.is_blocked(point.name):
            continue
        source = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:
            plugins.leave_out(point.name, error, source)
            continue
        plugins.add(plugin, point.name, source)
    plugins.add(guard, GUARD, BUILT_IN)


def prepared(manager: pluggy.PluginManager | None) -> pluggy.PluginManager:
    """
    A manager that knows our hooks; the host's own, or a new one.

    TypeError where it takes no hooks of ours, or serves a facade that is open.
    """
    if manager is None:
        manager = pluggy.PluginManager(PROJECT)
    if getattr(manager.get_plugin(CORE), "closed", True) is False:
        raise TypeError("this plugin manager is in use by email profiles that are open")
    send = getattr(manager.hook, "email_profiles_send", None)
    if send is None or not send.has_spec():  # a plugin may have come before the specs
        try:
            manager.add_hookspecs(specs)
        except ValueError as error:
            raise TypeError(
                f"the plugin manager of {manager.project_name!r} does not take our "
                "hooks: derive its class from AcceptsEmailProfiles too"
            ) from error
    return manager
