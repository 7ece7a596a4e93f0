"""Which sockets a tool in a box may make, as the launcher's filter numbers them."""

SOCKETS = {"none": 0, "inet": 1, "unix": 2}
"""`[sandbox] sockets` of a module, and `native/seccomp/rules.zig`."""
