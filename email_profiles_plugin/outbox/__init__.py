"""The outbox: a table is the truth; whoever delivers is only a worker on it."""
