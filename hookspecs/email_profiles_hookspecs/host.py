"""For a host that has a PluginManager of its own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pluggy

from .markers import PROJECT

if TYPE_CHECKING:
    _Base = pluggy.PluginManager
else:
    _Base = object


class AcceptsEmailProfiles(_Base):
    """
    Lets a host's manager accept `email_profiles` markers beside its own.

        class Manager(AcceptsEmailProfiles, pluggy.PluginManager): ...

        pm = Manager("plant_host")
        with EmailProfiles.open(plugin_manager=pm): ...

    Looks at attributes statically: no property of a plugin runs.
    """

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        opts = super().parse_hookimpl_opts(plugin, name)
        return _marked(plugin, name, "impl") if opts is None else opts

    def parse_hookspec_opts(
        self, module_or_class: Any, name: str
    ) -> pluggy.HookspecOpts | None:
        opts = super().parse_hookspec_opts(module_or_class, name)
        return _marked(module_or_class, name, "spec") if opts is None else opts


def _marked(owner: object, name: str, kind: str) -> Any:
    found = inspect.getattr_static(owner, name, None)
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if not inspect.isroutine(found):
        return None
    opts = getattr(found, f"{PROJECT}_{kind}", None)
    return opts if isinstance(opts, dict) else None
