"""POSIX calls alone, in place of what only Linux has; Linux tests run them for real."""
