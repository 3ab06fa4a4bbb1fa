"""Distributed map: run a function over many items on an existing Ray or Dask cluster."""

from __future__ import annotations
