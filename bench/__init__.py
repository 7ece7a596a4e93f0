"""What Airlock costs, measured beside the same commands run directly.

`./dev bench` runs it; docs/benchmarks.md has the method and the last table.
"""
