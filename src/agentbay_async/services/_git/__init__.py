"""What the service of git is made of: its commands, their output, its methods by subject."""

from __future__ import annotations
