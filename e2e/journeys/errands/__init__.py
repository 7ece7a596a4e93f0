"""Errands: what people send real tools for, each with a credential that the host has."""
