"""What the shim makes of `start`, and output that is byte for byte the tool's."""

import os

from fake_daemons import Ended, FakeDaemon, wait
from fake_messages import RESULT, encode, encoded_output, output, result, start_message


def test_large_encoded_output_is_exact(daemon: FakeDaemon) -> None:
    """Messages of any length are decoded, however the reads cut them."""
    data = os.urandom(3_000_001)
    pieces = [encoded_output(data[at : at + 70_001]) for at in range(0, len(data), 70_001)]
    transcript = start_message("base64") + b"".join(pieces) + RESULT
    cuts = [transcript[at : at + 9973] for at in range(0, len(transcript), 9973)]
    assert daemon.answer(*cuts) == Ended(0, data, "")
    assert daemon.answer(start_message("base64"), encoded_output(data), RESULT).stdout == data


def test_encoding_may_stand_anywhere(daemon: FakeDaemon) -> None:
    """Another daemon's order of members means the same, up to a bound."""
    data = {"stream": "stdout", "data": "/w==", "encoding": "base64"}
    late = encode({"jsonrpc": "2.0", "method": "output", "params": data})
    assert daemon.answer(start_message("base64"), late, RESULT) == Ended(0, b"\xff", "")
    data["data"] = "AAAA" * 500_000
    large = encode({"jsonrpc": "2.0", "method": "output", "params": data})
    assert daemon.answer(start_message("base64"), large, RESULT).stdout == bytes(1_500_000)
    data["data"] = "AAAA" * 2_000_000
    larger = encode({"jsonrpc": "2.0", "method": "output", "params": data})
    ended = daemon.answer(start_message("base64"), larger, RESULT)
    assert ended.status == 125
    assert "more than 4 MiB of output comes before its encoding" in ended.stderr


def test_long_text_needs_no_end_of_its_message(daemon: FakeDaemon) -> None:
    """Text is passed on in constant memory where base64 is in use, too."""
    text = "0123456789abcdef" * 1_000_000
    ended = daemon.answer(start_message("base64"), output(text), RESULT)
    assert ended.stdout == text.encode()


def test_encoding_means_nothing_unless_it_is_in_use(daemon: FakeDaemon) -> None:
    """A daemon that did not begin with base64 sends text."""
    for start in (b"", start_message(), start_message("signals")):
        assert daemon.answer(start + encoded_output(b"x"), RESULT).stdout == b"eA=="


def test_only_a_first_start_counts(daemon: FakeDaemon) -> None:
    """A daemon that begins with anything else speaks the base protocol, and so it stays."""
    for first in (output("-"), encode({"jsonrpc": "2.0", "method": "later"}), start_message()):
        ended = daemon.answer(first + start_message("base64") + encoded_output(b"x"), RESULT)
        assert ended.stdout.lstrip(b"-") == b"eA=="


def test_features_that_are_unknown_are_ignored(daemon: FakeDaemon) -> None:
    """A later daemon may list names, and send notifications, that this shim has not."""
    later = encode({"jsonrpc": "2.0", "method": "later", "params": {"features": ["base64"]}})
    start = start_message("later", "base64", "env", "exit-signal")
    ended = daemon.answer(start + later + encoded_output(b"\xff"), result(3))
    assert ended == Ended(3, b"\xff", "")


def test_credit_that_was_not_asked_for_is_ignored(daemon: FakeDaemon) -> None:
    """Where stdin is not in use, no credit makes the shim send any."""
    credit = encode({"jsonrpc": "2.0", "method": "credit", "params": {"bytes": 10}})
    read_end, write_end = os.pipe()
    os.write(write_end, b"data")
    with os.fdopen(read_end, "rb") as stdin, os.fdopen(write_end, "wb"):
        process, conversation = daemon.begin("signals", stdin=stdin)
        conversation.send(credit + RESULT)
        assert wait(process).status == 0
        assert conversation.read_bytes(1) == b""
        assert stdin.read(4) == b"data"
