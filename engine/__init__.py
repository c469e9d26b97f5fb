"""The machine: events on PostgreSQL, append-only, and all that is recorded with them as one block (docs/engine.md)."""
