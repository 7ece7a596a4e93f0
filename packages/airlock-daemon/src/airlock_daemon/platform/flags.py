"""Flags of system calls that only Linux has, and their counterparts elsewhere."""

import os
import socket

SEARCH: int = getattr(os, "O_PATH", None) or getattr(os, "O_SEARCH", os.O_RDONLY)
"""Opens a directory without the right to list it: O_PATH; O_SEARCH of POSIX; else to read it."""

CLOSED_AT_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""For recvmsg(2): a program that is executed does not get the received descriptors."""
