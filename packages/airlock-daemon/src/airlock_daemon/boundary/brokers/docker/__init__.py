"""A docker engine: the broker of its API, and the human's logins."""
