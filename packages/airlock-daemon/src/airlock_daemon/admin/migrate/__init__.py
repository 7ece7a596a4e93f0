"""Layouts of earlier releases: recognition and migration."""
