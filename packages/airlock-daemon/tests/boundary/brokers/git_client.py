"""What a client's git calls: SOCKET, whether to stream (0 or 1), the transport, and git's words.

The transport "as-ssh" is the shim that is called as ssh, and "git-sign" the one that signs.

It says what a shim says, and no more: it is the other side of the daemon's tests.
"""

import base64
import json
import os
import socket
import sys
import threading


def main(path: str, is_streamed: str, *words: str) -> int:
    """Ask for the conversation, carry it, and return its exit status."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    streamed = is_streamed == "1"
    features = ["env", "base64", "stdin"] if streamed else ["env", "fds"]
    environment = {
        name: os.environ[name] for name in ("GIT_PROTOCOL", "EVIL") if name in os.environ
    }
    commands = {"as-ssh": "ssh", "git-sign": "git-sign"}
    command, args = commands.get(words[0], "git-remote"), words[words[0] in commands :]
    params = {"command": command, "args": [*args], "features": features}
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "exec",
        "params": {**params, "env": environment},
    }
    line = json.dumps(request).encode() + b"\n"
    if streamed:
        connection.sendall(line)
    else:
        # As a shim that is not at a terminal: what is said of faults comes in messages.
        with open(os.devnull, "rb+", buffering=0) as null:
            socket.send_fds(connection, [line], [0, 1, null.fileno()])
        for number in (0, 1):
            os.close(number)
    return hear(connection)


def send_input(connection: socket.socket) -> None:
    """Send stdin in messages. Less than the credit that is granted at first comes here."""
    while True:
        data = os.read(0, 4096)
        said = (
            {"data": base64.b64encode(data).decode(), "encoding": "base64"}
            if data
            else {"eof": True}
        )
        message = {"jsonrpc": "2.0", "method": "stdin", "params": said}
        connection.sendall(json.dumps(message).encode() + b"\n")
        if not data:
            return


def hear(connection: socket.socket) -> int:
    """Print what comes until the answer."""
    for line in connection.makefile("rb"):
        message = json.loads(line)
        params = message.get("params", {})
        if message.get("method") == "start" and "stdin_credit" in params:
            threading.Thread(target=send_input, args=(connection,), daemon=True).start()
        elif message.get("method") == "output":
            is_text = params.get("encoding") != "base64"
            data = params["data"].encode() if is_text else base64.b64decode(params["data"])
            os.write(1 if params["stream"] == "stdout" else 2, data)
        elif "error" in message:
            error = message["error"]
            hint = error.get("data", {}).get("hint")
            sys.stderr.write(f"airlock: {error['message']}\nairlock: hint: {hint}\n")
            return 126
        elif "result" in message:
            return int(message["result"]["exit_code"])
    return 125


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)
