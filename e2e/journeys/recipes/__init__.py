"""Recipes, as they ship, with the real tools at servers that want a token."""
