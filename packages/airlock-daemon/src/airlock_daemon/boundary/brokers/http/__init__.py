"""The brokers' HTTP client: routes, trust, and bounded requests and answers."""
