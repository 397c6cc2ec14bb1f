"""A received message, printed as a person reads it."""

from __future__ import annotations

from email.message import EmailMessage

import click

from .output import clean, properties


def print_message(message: EmailMessage) -> None:
    """Who it is from and for, the subject, the text, and what is attached."""
    properties(
        [(name, message.get(name)) for name in ("From", "To", "Cc", "Subject", "Date")]
    )
    click.echo()
    for line in _text(message).splitlines():
        click.echo(f"  {clean(line)}".rstrip())
    click.echo()
    properties(("Attachment", line) for line in _attachments(message))


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain", "html"))
    return str(body.get_content()) if body is not None else ""


def _attachments(message: EmailMessage) -> list[str]:
    found = []
    for part in message.iter_attachments():
        data = part.get_payload(decode=True)
        size = len(data) if isinstance(data, bytes) else 0
        name = part.get_filename("without a name")
        found.append(f"{name} ({size} octets, {part.get_content_type()})")
    return found
