"""Relays git conversations for containers that have no credential."""
