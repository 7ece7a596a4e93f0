"""Brokers use credentials for an agent, and see no workspace."""
