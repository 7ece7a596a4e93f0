"""What the commands need around them: the daemons, servers, tools and containers."""
