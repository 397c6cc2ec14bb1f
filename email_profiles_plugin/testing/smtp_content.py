"""
How the loopback SMTP server takes a message's content: DATA, and BDAT (RFC 3030).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP, Envelope

if TYPE_CHECKING:
    from .smtp_server import SmtpServer

LINE_LIMIT = 998  # RFC 5322, 2.1.1
PIECE = 65536


class ContentRefused(Exception):
    """DATA was refused after all, by `before_reply`: no content will come."""


class Chunked(Envelope):
    """A transaction; `chunks` is None until its first BDAT."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[bytes] | None = None


class ContentSession(SMTP):
    """
    aiosmtpd with BDAT, for as long as the server's `chunking` is set.

    The chunks belong to the envelope, so whatever ends a transaction forgets them.
    """

    server: SmtpServer
    verb: str
    said: str
    """The last reply, as it was sent."""

    def _create_envelope(self) -> Envelope:
        return Chunked()

    def transaction(self) -> Chunked:
        """What has been said since the last message."""
        assert isinstance(self.envelope, Chunked)
        return self.envelope

    def end_transaction(self) -> None:
        """Forget it, as RSET does."""
        self.envelope = Chunked()

    async def smtp_RCPT(self, arg: str | None) -> None:
        if self.transaction().chunks is None:
            await super().smtp_RCPT(arg)
        else:
            await self.push("503 5.5.1 RCPT after BDAT")

    async def smtp_DATA(self, arg: str | None) -> None:
        if self.transaction().chunks is None:
            await super().smtp_DATA(arg)
        else:
            await self.push("503 5.5.1 DATA after BDAT")

    async def smtp_BDAT(self, arg: str | None) -> None:
        if not self.server.chunking:
            await self.push("502 5.5.1 BDAT not implemented")
            return
        size, *marker = (arg or "").split() or [""]
        last = [word.upper() for word in marker] == ["LAST"]
        if not (size.isascii() and size.isdigit()) or (marker and not last):
            await self.push("501 5.5.4 Syntax: BDAT size [LAST]")
            return
        chunk = await self._read_chunk(int(size))
        if last:
            self.verb = "."
        if (reply := self.server.replies.get("BDAT")) is not None:
            self.end_transaction()
            await self.push(reply)
        else:
            await self._take_chunk(chunk, last)

    async def _read_chunk(self, size: int) -> bytes | None:
        """The octets; all are read, but None if there are more than are allowed."""
        kept, limit = bytearray(), self.data_size_limit
        for start in range(0, size, PIECE):
            piece = await self._reader.readexactly(min(PIECE, size - start))
            if not limit or size <= limit:
                kept += piece
        return bytes(kept) if len(kept) == size else None

    async def _take_chunk(self, chunk: bytes | None, last: bool) -> None:
        """Answer a chunk; one that is refused ends the transaction."""
        if await self.check_helo_needed("EHLO") or await self.check_auth_needed("BDAT"):
            return
        transaction = self.transaction()
        if not transaction.rcpt_tos:
            self.end_transaction()
            await self.push("503 5.5.1 BDAT without a valid transaction")
            return
        if transaction.chunks is None:
            transaction.chunks = []
        transaction.chunks.append(chunk or b"")
        octets = b"".join(transaction.chunks) if last else b""
        taken, limit = sum(map(len, transaction.chunks)), self.data_size_limit
        if chunk is None or (limit and taken > limit):
            reply = "552 5.3.4 Too much mail data"
        elif any(len(line) > LINE_LIMIT for line in octets.split(b"\r\n")):
            reply = "554 5.6.0 Line too long"  # 500 would say: what is BDAT?
        elif last:
            transaction.content = transaction.original_content = octets
            reply = await self._call_handler_hook("DATA")
        else:
            reply = f"250 2.0.0 {len(chunk)} octets"
        await self.push(reply)
        if last or not self.said.startswith("2"):
            self.end_transaction()
