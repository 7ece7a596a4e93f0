"""Families of attacks by a command in a closed box."""
