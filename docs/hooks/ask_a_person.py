#!/usr/bin/env python3
"""A pre-exec hook that asks a person at the host before something is changed elsewhere.

It puts the question into a directory of its own in `questions/`, beside `hooks/`, and waits:

    $ cat questions/*/request
    $ echo yes > questions/NAME/answer

Anything but yes refuses. So does silence: the daemon ends a hook after `[hooks] timeout_s`.
"""

import json
import os
import signal
import sys
import tempfile

ASK = {"git": {"push"}, "terraform": {"apply", "destroy"}}


def main() -> int:
    """Return 0 where nobody need be asked, or a person has said yes."""
    params = json.load(sys.stdin)["params"]
    # An argument that is not UTF-8 is an object, and none of these words.
    words = {word for word in params["args"] if isinstance(word, str)}
    if not words & ASK.get(params["command"], set()):
        return 0
    if ask(params) == "yes":
        return 0
    print(json.dumps({"error": "a person at the host said no"}))
    return 1


def ask(params: object) -> str:
    """Wait for what somebody writes into `answer`."""
    os.makedirs("questions", mode=0o700, exist_ok=True)
    # The daemon's SIGHUP should not leave an old question behind.
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(dir="questions") as question:
        # First, since who sees the request wants to answer it.
        os.mkfifo(f"{question}/answer", 0o600)
        with open(f"{question}/request", "w", encoding="ascii") as file:
            # In ASCII, so that the container's words cannot drive the reader's terminal.
            json.dump(params, file, indent=2)
            file.write("\n")
        with open(f"{question}/answer", encoding="utf-8") as answer:
            return answer.readline().strip()


if __name__ == "__main__":
    sys.exit(main())
