"""One client: its bytes, its descriptors, its hanging up."""
