"""Cassettes: recorded requests and answers as a file, without secrets, and their replay."""
