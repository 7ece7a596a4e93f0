"""The client: the process that connected, and its container."""
