"""Attacks on the broker of APIs."""
