"""What the benchmarks share: a stub of the service, the clients to compare, and statistics."""
