"""Move file content in and out of a session: chunks, archives, the service's store."""

from __future__ import annotations
