"""What runs for each agent: sockets, sessions, requests, records, reloads."""
