"""The rows of the table, one file per family, each with a function that yields its figures."""
