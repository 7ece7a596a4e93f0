"""Airlock's overhead, measured against the same commands run directly.

`./dev bench` runs it; docs/benchmarks.md has the method and the last table.
"""
