"""The human's ssh: its route to a host, and its command line for an agent."""
