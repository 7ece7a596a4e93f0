"""Reads the list of commands, runs them, and says in what two runs of one differ."""
