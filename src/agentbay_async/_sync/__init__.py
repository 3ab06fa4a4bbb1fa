"""Transfer files between this machine, sessions and contexts."""
