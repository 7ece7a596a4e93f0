"""Layouts of earlier releases: which one a host has, and what makes it one of this release."""
