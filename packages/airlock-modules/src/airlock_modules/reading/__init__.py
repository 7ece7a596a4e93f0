"""Parsing a tool's arguments, with an option table or by their form alone."""
