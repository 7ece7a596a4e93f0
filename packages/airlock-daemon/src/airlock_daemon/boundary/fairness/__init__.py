"""Keeps one agent from starving another: slots, turns, starts and pace."""
