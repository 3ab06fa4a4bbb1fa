"""Sessions: their states, their lifetimes and their sandboxes."""
