"""The human's docker engine and registry logins, for a box with docker's client."""
