"""What keeps sessions from being lost: idempotency keys, owned work, the ledger, deletion."""

from __future__ import annotations
