"""The human's ssh: how it would reach a host, and the words with which it is run for an agent."""
