"""Which sockets a tool in a box may make, as the launcher's filter numbers them."""

SOCKETS = {"none": 0, "inet": 1, "unix": 2, "inet and unix": 3, "inet and udp": 4}
"""`[sandbox] sockets` of a module, those of the class "home", and `native/seccomp/rules.zig`."""
