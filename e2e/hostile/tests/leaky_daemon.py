#!/usr/bin/env python3
"""A daemon that stands nothing: it keeps what it is given, and writes no log."""

import json
import os
import socket
import sys
import threading
from pathlib import Path


def serve(listening: socket.socket, kept: list[object]) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=answer, args=(connection, kept), daemon=True).start()


def answer(connection: socket.socket, kept: list[object]) -> None:
    line = b""
    while not line.endswith(b"\n") and (data := connection.recv(65536)):
        line += data
    if line:
        kept.append(os.dup(connection.fileno()))
        kept.append(bytes(1 << 20))
        response = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"exit_code": 0}}
        connection.sendall(json.dumps(response).encode() + b"\n")
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def main(words: list[str]) -> None:
    config, sockets = (Path(words[words.index(option) + 1]) for option in ("--config", "--sockets"))
    (config.parent / "log" / "airlock.log").touch()
    kept: list[object] = []
    for agent in ("honest", "hostile"):
        (sockets / agent).mkdir(parents=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(sockets / agent / "airlock.sock"))
        listening.listen()
        threading.Thread(target=serve, args=(listening, kept)).start()


main(sys.argv[1:])
