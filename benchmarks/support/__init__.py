"""Shared parts of the benchmarks: a stub of the service, clients to compare, statistics."""
