"""JSON as it goes out."""

from __future__ import annotations

import json
import re

_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can say it, UTF-8 can't."""


def octets(value: object) -> bytes:
    """*value*, of JSON's types, as JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text).encode()
