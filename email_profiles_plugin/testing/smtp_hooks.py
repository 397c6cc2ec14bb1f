"""
What the loopback SMTP server offers, accepts and keeps, as aiosmtpd's hooks.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from aiosmtpd.smtp import Envelope, Session

if TYPE_CHECKING:
    from .smtp_server import SmtpServer
    from .smtp_session import SmtpSession


class SessionHooks:
    """What aiosmtpd asks along the way."""

    def __init__(self, server: SmtpServer) -> None:
        self.server = server

    async def handle_EHLO(
        self,
        protocol: SmtpSession,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        offered = [r[4:] for r in responses if not r[4:].startswith("AUTH")]
        offered[1:1] = ["PIPELINING"] if self.server.pipelining else []
        offered[-1:-1] = ["CHUNKING"] if self.server.chunking else []
        offered[-1:-1] = ["ENHANCEDSTATUSCODES"]
        if mechanisms := protocol.offered_mechanisms():
            offered[-1:-1] = [f"AUTH {' '.join(mechanisms)}"]
        lines = [f"250-{line}" for line in offered[:-1]] + [f"250 {offered[-1]}"]
        return ["\r\n".join(lines)]

    async def handle_MAIL(
        self,
        protocol: SmtpSession,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        sender = "" if address == "<>" else address
        reply = self.server.refuse_sender.get(sender, "250 2.1.0 OK")
        if reply.startswith("2"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(
        self,
        protocol: SmtpSession,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        reply = self.server.refuse.get(address, "250 2.1.5 OK")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(
        self, protocol: SmtpSession, session: Session, envelope: Envelope
    ) -> str:
        queue_id = secrets.token_hex(6).upper()
        reply = self.server.data_reply or f"250 2.0.0 OK: queued as {queue_id}"
        if reply.startswith("2"):
            self.server.note_delivered(
                envelope, protocol.identity, protocol.is_secure(), queue_id
            )
        await asyncio.wrap_future(self.server.hold.pass_through())
        return reply
