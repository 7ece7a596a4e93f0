"""Attacks on the broker of a docker engine."""
