"""The documentation's pictures of programs' output, made from real output."""
