"""Bulk runs: create, delete and use many sessions concurrently."""

from __future__ import annotations
