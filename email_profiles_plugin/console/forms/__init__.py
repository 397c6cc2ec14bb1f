"""Forms: drawn from a schema, filled from a document, and read back into one."""

from .drawing import draw
from .fields import ABSENT, Absent, Choice, Field, Group, Layout, Widget
from .filling import Filled, Form, Section, Told, fill
from .reading import Reading, read

__all__ = [
    "ABSENT",
    "Absent",
    "Choice",
    "Field",
    "Filled",
    "Form",
    "Group",
    "Layout",
    "Reading",
    "Section",
    "Told",
    "Widget",
    "draw",
    "fill",
    "read",
]
