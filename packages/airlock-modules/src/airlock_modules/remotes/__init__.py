"""Requests of git and ssh, as pure data: destinations, refs, objects to sign, and grants."""
