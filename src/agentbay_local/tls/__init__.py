"""TLS of the local service: its certificates, and the files that make clients trust them."""
