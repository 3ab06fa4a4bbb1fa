"""What the service of files is made of: pieces, stores, archives, its methods by subject."""

from __future__ import annotations
