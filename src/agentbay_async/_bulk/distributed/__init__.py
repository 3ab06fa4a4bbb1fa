"""A run over many sessions, spread over the processes of a cluster that is there already."""

from __future__ import annotations
