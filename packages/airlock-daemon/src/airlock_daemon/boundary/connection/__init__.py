"""One client's connection: its descriptors, and closing them."""
