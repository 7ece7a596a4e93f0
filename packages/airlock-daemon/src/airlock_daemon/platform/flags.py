"""Flags of system calls that only Linux has, and their counterparts elsewhere."""

import os
import socket

SEARCH: int = getattr(os, "O_PATH", None) or getattr(os, "O_SEARCH", os.O_RDONLY)
"""Opens a directory without the right to list it: O_PATH; O_SEARCH of POSIX; else to read it."""

KEEP_IDLE: int = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", 4)
"""For setsockopt(2): seconds of silence after which a TCP peer is asked whether it is there."""

BIND_TO_DEVICE: int = getattr(socket, "SO_BINDTODEVICE", 25)
"""For setsockopt(2): only through this network device. Other systems refuse it."""

LOOK: int = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
"""Opens a file without its contents (O_PATH); else to read it, without waiting for anybody."""

CLOSED_AT_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""For recvmsg(2): a program that is executed does not get the received descriptors."""
