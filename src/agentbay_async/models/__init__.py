"""Value classes without I/O, one module per subject."""
