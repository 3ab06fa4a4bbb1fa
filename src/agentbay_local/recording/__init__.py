"""Recording: a proxy that writes cassettes, and the comparison of a cassette with this service."""
