"""The daemon itself: sockets, accepting, stopping in order."""
