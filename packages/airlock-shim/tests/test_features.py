"""What the shim makes of `start`, and output that is byte for byte the tool's."""

from fake_daemons import Ended, FakeDaemon
from fake_messages import RESULT, encode, encoded_output, output, start_message


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
