"""What keeps sessions from being lost: intents, owned work, the ledger, deletion."""

from __future__ import annotations
