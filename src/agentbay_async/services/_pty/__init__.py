"""Terminals of a session over its WebSocket, and buffers for their output."""

from __future__ import annotations
