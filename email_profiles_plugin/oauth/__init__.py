"""OAuth 2.0 without I/O: what is asked for, and what the answers mean."""
