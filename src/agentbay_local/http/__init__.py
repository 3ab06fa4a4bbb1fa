"""What listens: the routes of the service."""
