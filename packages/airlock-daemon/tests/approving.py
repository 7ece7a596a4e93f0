"""Questions of a running daemon, and answers to them, as a person gives them."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from airlock_daemon.setup import answering
from airlock_daemon.setup.config import Config
from commanding import run
from running import connect_to
from worlds import World


def control_path(world: World) -> str:
    """The path of the control socket."""
    return answering.locate_control(
        Config.locate_state(world.locations), world.locations.sockets_dir
    )


def begin(
    git: "Callable[..., subprocess.CompletedProcess[str]]", *words: str
) -> Callable[[], "subprocess.CompletedProcess[str]"]:
    """Start git by its function; the returned one waits for its end."""
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(git(*words)))
    thread.start()

    def wait() -> "subprocess.CompletedProcess[str]":
        thread.join(50)
        (ended,) = done
        return ended

    return wait


def wait_for_questions(world: World, count: int = 1) -> list[dict[str, Any]]:
    """Wait until at least `count` questions are open, and return all."""
    path = control_path(world)
    # An address has at most 107 bytes, and a test's directory may have as many.
    directory = os.open(os.path.dirname(path), os.O_PATH)
    try:
        connection = connect_to(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)
    with connection:
        connection.sendall(b'{"type":"ListQuestions","follows":true}\n')
        with connection.makefile("rb") as file:
            for line in file:
                questions: list[dict[str, Any]] = json.loads(line)["questions"]
                if len(questions) >= count:
                    return questions
    raise AssertionError("the daemon closed the control socket")


def approve(world: World, *more: str) -> dict[str, Any]:
    """Wait for the only question, and approve it; returns it."""
    (question,) = wait_for_questions(world)
    run(world, "approve", question["id"], *more)
    return question


def reject(world: World, reason: str = "") -> dict[str, Any]:
    """Wait for the only question, and reject it; returns it."""
    (question,) = wait_for_questions(world)
    run(world, "reject", question["id"], *(["--reason", reason] if reason else []))
    return question
