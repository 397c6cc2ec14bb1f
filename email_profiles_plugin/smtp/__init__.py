"""The SMTP client: replies and dialogues are pure, the wire does the I/O."""
