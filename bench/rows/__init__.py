"""The rows of the table, one file a family: each has a function that yields its figures."""
