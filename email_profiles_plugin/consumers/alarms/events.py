"""The alarm event: what a host says of one alarm at one moment (ISA-18.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, get_args

from attrs import Attribute, field, fields, frozen

Priority = Literal["Diagnostic", "Low", "Medium", "High", "Critical"]
State = Literal["NORM", "UNACK", "ACKED", "RTNUN", "SHLVD", "DSUPR", "OOSRV"]
Transition = Literal[
    "active",
    "clear",
    "ack",
    "shelve",
    "unshelve",
    "suppress",
    "unsuppress",
    "out_of_service",
    "in_service",
]

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""From the least to the most urgent."""

TRANSITIONS: tuple[Transition, ...] = get_args(Transition)

MOST_OCTETS = 64 * 1024
"""Of an event, as JSON."""

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""No fraction, which as seconds since 1970 would be rounded up to the year 10000."""

_SAID: Mapping[str, str] = {
    "active": "Active",
    "clear": "Clear",
    "ack": "Ack",
    "shelve": "Shelved",
    "unshelve": "Unshelved",
    "suppress": "Suppressed",
    "unsuppress": "Unsuppressed",
    "out_of_service": "Out of Service",
    "in_service": "In Service",
}


def _one_of(known: tuple[str, ...]) -> Any:
    def check(instance: object, attribute: Attribute[Any], value: object) -> None:
        if value not in known:
            raise ValueError(f"{attribute.name} has to be one of {', '.join(known)}")

    return check


def _text(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} has to be text, not {type(value).__name__}")


def filled(instance: object, attribute: Attribute[Any], value: object) -> None:
    """A validator: TypeError for what is no text, ValueError for an empty one."""
    _text(instance, attribute, value)
    if not value:
        raise ValueError(f"{attribute.name} is empty")


def storable(value: Any) -> Any:
    """*value*; in text, what no database holds becomes a question mark."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "?").encode("utf-8", "replace").decode()


def _aware(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, datetime):
        raise TypeError(f"{attribute.name} has to be a datetime")
    if value.utcoffset() is None:
        raise ValueError(f"{attribute.name} needs a time zone")


def _flag(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} has to be True or False")


def _severity(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and not (type(value) is int and 1 <= value <= 1000):
        raise ValueError(f"{attribute.name} has to be 1 to 1000, or None")


def _object(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise TypeError(f"{attribute.name} has to be an object, not {kind}")


def _plain(value: Any) -> Any:
    """*value* as JSON can hold it; what it can't hold becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _plain_data(value: Any) -> Any:
    return {} if value is None else _plain(value)


def _in_range(value: Any) -> Any:
    """*value*; a time that UTC can't express becomes the first or last that it can."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return value
    return max(value, _FIRST) if value < _LAST else min(value, _LAST)


@frozen(kw_only=True)
class AlarmEvent:
    """
    One transition of one alarm.

    *id* is the host's for the alarm from its going active to its being cleared and
    acknowledged: the events of one occurrence share it. *source* is the path of what
    raised it, *event_time* aware, *severity* OPC UA's, 1 to 1000. *latched*: it stays
    in alarm although its condition is gone. *data* is whatever else belongs to it.
    """

    id: str = field(converter=storable, validator=filled)
    source: str = field(default="", validator=_text)
    name: str = field(default="", validator=_text)
    display_path: str = field(default="", validator=_text)
    label: str = field(default="", validator=_text)
    notes: str = field(default="", validator=_text)
    active: bool = field(validator=_flag)
    acked: bool = field(default=False, validator=_flag)
    shelved: bool = field(default=False, validator=_flag)
    suppressed: bool = field(default=False, validator=_flag)
    out_of_service: bool = field(default=False, validator=_flag)
    latched: bool = field(default=False, validator=_flag)
    transition: Transition = field(validator=_one_of(TRANSITIONS))
    priority: Priority = field(default="Low", validator=_one_of(PRIORITIES))
    severity: int | None = field(default=None, validator=_severity)
    event_time: datetime = field(converter=_in_range, validator=_aware)
    event_value: Any = field(default=None, converter=_plain)
    ack_user: str = field(default="", validator=_text)
    ack_notes: str = field(default="", validator=_text)
    data: Mapping[str, Any] = field(
        factory=dict, converter=_plain_data, validator=_object
    )

    @property
    def isa_state(self) -> State:
        """
        The state of ISA-18.2, figure 2.

        Out of service before suppressed by design before shelved: the stronger reason
        for its silence. A latched alarm is in alarm until it is let go.
        """
        if self.out_of_service:
            return "OOSRV"
        if self.suppressed:
            return "DSUPR"
        if self.shelved:
            return "SHLVD"
        if self.active or self.latched:
            return "ACKED" if self.acked else "UNACK"
        return "NORM" if self.acked else "RTNUN"

    @property
    def event_state(self) -> str:
        """The transition as Ignition writes it: `Active`, `Clear`, `Ack`."""
        return _SAID[self.transition]

    @property
    def display_path_or_source(self) -> str:
        """What to call the place of the alarm."""
        return self.display_path or self.source

    @cached_property
    def rank(self) -> int:
        """0 for Diagnostic up to 4 for Critical."""
        return PRIORITIES.index(self.priority)

    @cached_property
    def key(self) -> str:
        """
        32 hexadecimal digits: the same for the same id, transition and time.

        In the order of time, so that the store writes next to each other what comes
        one after the other.
        """
        seconds = self.event_time.timestamp()
        digest = _digest(self.id, self.transition, seconds.hex())
        return f"{max(int(seconds * 1000), 0):012x}{digest[:20]}"

    @cached_property
    def alarm_key(self) -> str:
        """The same for every occurrence of one alarm, which is a source and a name."""
        if self.source or self.name:
            return _digest(self.source, self.name)
        return _digest(self.id)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        found = {one.name: getattr(self, one.name) for one in fields(AlarmEvent)}
        return {**found, "event_time": self.event_time.isoformat()}

    @cached_property
    def text(self) -> str:
        """As it is stored; ValueError where it is too long."""
        text = json.dumps(self.document(), ensure_ascii=False)
        text = text.encode("utf-8", "replace").decode()
        if len(text.encode()) > MOST_OCTETS:
            raise ValueError(
                f"the alarm event {self.id[:40]!r} has more than {MOST_OCTETS} octets"
            )
        return text

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> AlarmEvent:
        """From JSON; TypeError or ValueError, in a sentence, where it is wrong."""
        if not isinstance(document, Mapping):
            raise TypeError("an alarm event has to be an object")
        known = {one.name for one in fields(cls)}
        if strange := [name for name in document if name not in known]:
            raise ValueError(f"an alarm event has no {strange[0]!r}")
        missing = {"id", "active", "transition", "event_time"} - document.keys()
        if missing:
            raise ValueError(f"an alarm event needs {', '.join(sorted(missing))}")
        moment = document["event_time"]
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError:
                raise ValueError(
                    "event_time has to be a date and time with its time zone, "
                    "such as 2026-11-24T12:00:00Z"
                ) from None
        given = {name: document[name] for name in document if name != "event_time"}
        return cls(event_time=moment, **given)


def _digest(*parts: str) -> str:
    whole = json.dumps(parts).encode("utf-8", "replace")
    return hashlib.sha256(whole).hexdigest()[:32]
