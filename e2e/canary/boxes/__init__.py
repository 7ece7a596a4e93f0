"""A workspace that attacks the host out of its closed box."""
