"""Terminals of a session, and what they wrote."""

from __future__ import annotations
