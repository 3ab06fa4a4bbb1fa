"""Contexts on disk: versions of their files, and how these reach sessions and come back."""
