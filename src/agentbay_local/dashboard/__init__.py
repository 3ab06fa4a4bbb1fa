"""The pages of the local service for people: one for the service, one for each session."""
