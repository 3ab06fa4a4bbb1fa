"""The services of a session, one module each."""
