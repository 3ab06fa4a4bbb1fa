"""What can be done inside a session: one module for each service."""
