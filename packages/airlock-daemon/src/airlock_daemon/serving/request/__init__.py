"""The life of one request, from its message to its answer and its record."""
