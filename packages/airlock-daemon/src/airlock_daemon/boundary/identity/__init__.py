"""The client: the process that connected, and the container that it is in."""
