"""Run git and parse its output."""

from __future__ import annotations
