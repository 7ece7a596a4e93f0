"""A box's network: destinations by name and port, over CONNECT or a listener, opaque."""
