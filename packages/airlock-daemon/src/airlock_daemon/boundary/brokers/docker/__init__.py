"""A docker engine: the broker of its API, the human's logins, and the relay for a box's client."""
