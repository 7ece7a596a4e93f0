"""Reads the audit log, with or without a running daemon: lines, chain, counts."""
