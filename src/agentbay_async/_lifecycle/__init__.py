"""Session lifecycle: lossless creation, shielded work, the ledger, deletion, the reaper."""

from __future__ import annotations
