"""Attacks on the brokers by a container that wants a credential, or more than it was granted."""
