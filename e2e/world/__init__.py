"""What the tests need around them: images, servers, accounts, daemons and containers."""
