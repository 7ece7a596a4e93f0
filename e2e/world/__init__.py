"""The tests' environment: images, servers, accounts, daemons and containers."""
