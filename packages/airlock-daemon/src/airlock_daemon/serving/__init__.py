"""The running daemon: sockets, sessions, requests, records, reloads."""
