"""Runs a tool: its environment, launcher and streams."""
