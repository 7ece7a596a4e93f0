"""The attacks, a family a file."""
