"""A hostile client against the running daemon: attacks, a soak, and what others notice of it.

It uses the daemon as a container would, through its socket, and looks at it from outside, through
/proc and its audit log; it imports none of the packages. README.md says how to run it.
"""
