"""Target: the arguments of ssh, of which its broker makes words of its own.

They are separated by NUL, as no argument can hold it. What is read has plain names for user and
host, a command that is the client's own last words, and options of which none can be more than one;
it says the same when it is written out and read again. What is refused is one line.
"""

import re

from airlock_modules import Query, RemoteError, Session, read_session_words
from fuzz.target import BrokenPromiseError, Target, decode, require_one_line

_MAX_LENGTH = 1024
_LOGIN = re.compile(
    r"([A-Za-z0-9_][\w.-]*@)?([A-Za-z0-9_][\w.-]*|\[[0-9a-f:.]+\])(:[0-9]+)?", re.ASCII
)
_VALUE = re.compile(r"[A-Za-z0-9@.,*_:/+^= -]*", re.ASCII)
_FLAGS = {"no": ("-T",), "auto": (), "yes": ("-t",), "force": ("-tt",)}


def _check(data: bytes) -> None:
    args = [decode(part) for part in data.split(b"\0")]
    try:
        asked = read_session_words(args)
    except RemoteError as error:
        require_one_line(error.problem)
        require_one_line(error.rule)
        return
    if isinstance(asked, Query):
        if not all(re.fullmatch(r"-[VQ]|[\w-]+", word, re.ASCII) for word in asked.words):
            raise BrokenPromiseError(f"{args!a} asks {asked.words!a}")
        return
    if not _LOGIN.fullmatch(str(asked.login)):
        raise BrokenPromiseError(f"{args!a} leads to {asked.login!s}")
    if asked.command is not None and not " ".join(args).endswith(asked.command):
        raise BrokenPromiseError(f"{args!a} has another command: {asked.command!a}")
    for name, value in asked.options:
        if not name.isalpha() or not _VALUE.fullmatch(value):
            raise BrokenPromiseError(f"{args!a} sets {name!a} to {value!a}")
    again = read_session_words(_write(asked))
    if again != asked:
        raise BrokenPromiseError(f"{args!a} is {asked!a}, and then {again!a}")


def _write(asked: Session) -> list[str]:
    login = asked.login
    words = [f"-o{name}={value}" for name, value in asked.options]
    words += [f"-oSendEnv={name}" for name in asked.sends]
    words += [*_FLAGS[asked.terminal], f"-oLogLevel={asked.log_level}"]
    words += ["-v"] * asked.is_verbose + ["-n"] * asked.has_no_input + ["-s"] * asked.is_subsystem
    words += [] if asked.family is None else [f"-{asked.family}"]
    words += [] if login.port is None else ["-p", str(login.port)]
    user = "" if login.user is None else f"{login.user}@"
    words += ["--", f"{user}{login.host}"]
    return words if asked.command is None else [*words, asked.command]


def _make_seeds() -> tuple[bytes, ...]:
    lines = (
        "-x -oPermitLocalCommand=no -oRequestTTY=no -l user -s -- host sftp",
        "-vp 22 -oUser=x -oSetEnv=A=b host -tt ls -l",
        "ssh://me@[::1]:2222 -4Cq -- -x",
        "-o SendEnv=GIT_PROTOCOL git@host git-upload-pack",
        "-Q cipher",
    )
    return tuple(line.encode().replace(b" ", b"\0") for line in lines)


_WORDS = (b"-o", b"-p", b"-l", b"\0", b"--", b"=", b"@", b"[::1]", b"ssh://", b"Ciphers", b"-tt")

TARGET = Target(check=_check, seeds=_make_seeds(), words=_WORDS, longest=_MAX_LENGTH)
"""Reading what a client wants of ssh."""
