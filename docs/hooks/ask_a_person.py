#!/usr/bin/env python3
"""A pre-exec hook that asks a person at the host before something is changed elsewhere.

It puts the question into a directory of its own in `questions/`, beside `hooks/`, and waits:

    $ tail -n +1 questions/*/request
    $ echo yes > questions/NAME/answer

Anything but yes refuses. So does silence: the daemon ends a hook after `[hooks] timeout_s`.
"""

import json
import os
import signal
import sys
import tempfile

# Remove the line of git where it runs in a box, as the built-in one does: there each push is a
# request of git-remote too, and you would be asked twice.
ASK = {"git": {"push", "send-pack"}, "terraform": {"apply", "destroy"}}
# A longer question would scroll off the screen.
MOST = 4000


def main() -> int:
    """Return 0 where nobody need be asked, or a person has said yes."""
    params = json.load(sys.stdin)["params"]
    if not is_asked(params["command"], params["args"]):
        return 0
    text = describe(params)
    if len(text) > MOST:
        print(json.dumps({"error": "this is too long for a question to a person"}))
        return 1
    if ask(text) == "yes":
        return 0
    print(json.dumps({"error": "a person at the host said no"}))
    return 1


def is_asked(command: str, args: list) -> bool:
    """Whether a person is to be asked. An argument that is not UTF-8 is an object."""
    if command == "git-remote":
        # Of ssh the last word says what is done. Of https nothing does: git says later, past any
        # hook, whether it fetches or pushes.
        last = args[-1] if args else ""
        is_fetch = isinstance(last, str) and last.startswith("git-upload-pack ")
        return args[:1] != ["ssh"] or not is_fetch
    words = {word for word in args if isinstance(word, str)}
    return bool(words & ASK.get(command, set()))


def describe(params: dict) -> str:
    """What is asked for and nothing else, each on a line that no argument can end."""
    lines = [("command", params["command"])]
    lines += [("argument", argument) for argument in params["args"]]
    lines += [("directory", params.get("cwd"))]
    # In ASCII, so that the container's words cannot drive the reader's terminal.
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in lines)


def ask(text: str) -> str:
    """Wait for what somebody writes into `answer`."""
    os.makedirs("questions", mode=0o700, exist_ok=True)
    # The daemon's SIGHUP should not leave an old question behind.
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(dir="questions") as question:
        # First, since who sees the request wants to answer it.
        os.mkfifo(f"{question}/answer", 0o600)
        with open(f"{question}/new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(f"{question}/new", f"{question}/request")
        with open(f"{question}/answer", encoding="utf-8") as answer:
            return answer.readline().strip()


if __name__ == "__main__":
    sys.exit(main())
