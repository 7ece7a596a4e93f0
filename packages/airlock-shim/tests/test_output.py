"""The command's output on its way through the shim."""

import hashlib
import os
import threading
from pathlib import Path

from fake_daemons import Ended, FakeDaemon, read_output, wait
from fake_messages import RESULT, encode, output, result

_MEMORY_LIMIT_KIB = 2048


def test_streams_are_passed_on_apart(daemon: FakeDaemon) -> None:
    """What the tool wrote to stderr comes out there, and the exit status is the tool's."""
    ended = daemon.answer(output("out\n"), output("err\n", "stderr"), output("more"), result(3))
    assert ended == Ended(3, b"out\nmore", "err\n")


def test_order_of_the_streams_is_kept(daemon: FakeDaemon) -> None:
    """Both streams on one pipe come out in the order in which the daemon sent them."""
    pieces = [output(str(n), "stderr" if n % 3 else "stdout") for n in range(100)]
    wrapper = ["sh", "-c", 'exec "$@" 2>&1', "sh"]
    ended = daemon.answer(b"".join(pieces), RESULT, wrapper=wrapper)
    assert ended.stdout == "".join(str(n) for n in range(100)).encode()


def test_output_is_passed_on_as_it_comes(daemon: FakeDaemon) -> None:
    """A prompt without a newline is there before anything follows it, its message's end too."""
    process = daemon.start()
    conversation = daemon.accept()
    conversation.read_request()
    whole = output("Password: ")
    conversation.send(whole[:-4])
    assert read_output(process, 10) == b"Password: "
    conversation.send(whole[-4:] + output("ok", "stdout"))
    assert read_output(process, 2) == b"ok"
    conversation.send(RESULT)
    assert wait(process).status == 0


def test_text_is_decoded_exactly(daemon: FakeDaemon) -> None:
    """Escapes, surrogate pairs, halves of them, control characters and raw UTF-8 come out right."""
    data = (
        rb'"\"\\\/\b\f\n\r\t\u0000\u001b[1m \u20ac \ud83d\udc4d \ud83d \udc4d '
        + "ü👍".encode()
        + b'"'
    )
    line = (
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":' + data + b"}}\n"
    )
    expected = '"\\/\b\f\n\r\t\0\x1b[1m € 👍 \ufffd \ufffd ü👍'.encode()
    assert daemon.answer(line, RESULT) == Ended(0, expected, "")


def test_reads_may_be_cut_anywhere(daemon: FakeDaemon) -> None:
    """A transcript that arrives byte by byte means the same."""
    reordered = {"params": {"data": "b\u20ac\n", "stream": "stderr", "x": [{}]}, "method": "output"}
    transcript = output('a👍\n\x1b"') + encode(reordered) + output("c") + result(7).rstrip()
    process = daemon.start()
    conversation = daemon.accept()
    conversation.read_request()
    for byte in transcript:
        conversation.send_and_wait(bytes([byte]))
    assert wait(process) == Ended(7, 'a👍\n\x1b"c'.encode(), "b€\n")


def test_messages_may_be_spelled_otherwise(daemon: FakeDaemon) -> None:
    """White space, other orders, unknown members and notifications are those of other daemons."""
    ended = daemon.answer(
        b'{ "method" : "output" , "params" : { "stream" : "stdout" , "data" : "1" } }\r\n',
        b'{"jsonrpc":"2.0","method":"output","params":{"data":"2","stream":"stdout"}}\n',
        b'{"params":{"stream":"stdout","data":"3"},"method":"output","x":{"y":[1,{"a":null}]}}\n\n',
        b'{"method":"output","params":{"stream":"stdout","data":"4","encoding":"none"},"x":1}\n',
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"5","x":true},"y":-0.5e-1}\n',
        b'{"jsonrpc":"2.0","method":"start","params":{"features":[]}}\n',
        b'{"result":{"took_ms":1,"exit_code":9},"id":"else"}',
    )
    assert ended == Ended(9, b"12345", "")


def test_one_huge_line_takes_no_memory(daemon: FakeDaemon) -> None:
    """A notification of 100 MB passes through a constant buffer."""
    piece = ("x" * 78 + "é\n") * 1250
    count = 1000
    process = daemon.start()
    conversation = daemon.accept()
    conversation.read_request()
    digest, length = hashlib.sha256(), 0
    assert process.stdout is not None
    stdout = process.stdout.fileno()

    def receive() -> None:
        nonlocal length
        while data := os.read(stdout, 1 << 20):
            digest.update(data)
            length += len(data)

    receiver = threading.Thread(target=receive)
    receiver.start()
    whole = output(piece)
    head, _, tail = whole.partition(b"x" * 78)
    body = whole[len(head) : -len(b'"}}\n')]
    conversation.send(head)
    for _ in range(count):
        conversation.send(body)
    conversation.send_and_wait(tail[-len(b'"}}\n') :])
    assert _peak_memory_kib(process.pid) < _MEMORY_LIMIT_KIB
    conversation.send(RESULT)
    receiver.join()
    assert process.wait() == 0
    expected = hashlib.sha256()
    for _ in range(count):
        expected.update(piece.encode())
    assert (length, digest.digest()) == (len(piece.encode()) * count, expected.digest())


def test_data_before_its_stream_is_held_up_to_a_bound(daemon: FakeDaemon) -> None:
    """What must be held is bounded, and past the bound the error says so."""
    small = encode({"params": {"data": "x" * 1_000_000, "stream": "stdout"}, "method": "output"})
    assert daemon.answer(small, RESULT) == Ended(0, b"x" * 1_000_000, "")
    large = encode({"params": {"data": "x" * 5_000_000, "stream": "stdout"}, "method": "output"})
    ended = daemon.answer(large, RESULT)
    assert ended.status == 125
    assert "more than 4 MiB of output comes before the name of its stream" in ended.stderr


def test_slow_reader_holds_the_daemon_up(daemon: FakeDaemon) -> None:
    """Nothing is lost when whoever reads the output takes its time."""
    data = "".join(f"{number}\n" for number in range(200_000))
    ended = daemon.answer(output(data), RESULT, wrapper=["sh", "-c", '"$@" | cat', "sh"])
    assert ended.stdout == data.encode()


def test_output_after_the_response_is_not_read(daemon: FakeDaemon) -> None:
    """The response ends the session."""
    assert daemon.answer(result(4) + output("late")) == Ended(4, b"", "")


def test_nothing_is_said_where_the_tool_says_nothing(daemon: FakeDaemon) -> None:
    """The shim adds not a byte of its own."""
    assert daemon.answer(RESULT) == Ended(0, b"", "")


def _peak_memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
