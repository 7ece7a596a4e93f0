"""The human's docker engine, and the logins of registries: what a box with docker's client has."""
