"""The human's ssh: its way to a host, and its command line for an agent."""
