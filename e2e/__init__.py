"""What needs the whole of Airlock: real daemons, clients, tools, containers and servers."""
