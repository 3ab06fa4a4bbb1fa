"""What desktops and phones have in common."""

from __future__ import annotations
