"""Requests of git and ssh to remotes, as pure data: destinations, refs and grants."""
