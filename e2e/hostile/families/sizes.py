"""Too much of everything: refused as soon as it is known, and never gathered."""

from e2e.hostile.attack import Scene, make_family
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import FEATURES, make_request, make_script
from e2e.world.process_status import forget_peak, peak_memory, resident_memory

_MIB = 1 << 20


def line_of_100_megabytes(scene: Scene) -> None:
    """The limit is noticed on the way; the rest is not even read, and costs no memory."""
    before = resident_memory(scene.daemon.pid)
    forget_peak(scene.daemon.pid)
    with scene.connect() as client:
        sent = _push_until_closed(client, b"x" * _MIB, 100)
        client.await_error(-32700)
    if sent > 20:
        raise BrokenError(f"{sent} MiB were taken of a line that may have 4")
    grown = peak_memory(scene.daemon.pid) - before
    if grown > 16 * _MIB:
        raise BrokenError(f"a line of 100 MB takes {grown // _MIB} MiB")


def spaces_of_100_megabytes(scene: Scene) -> None:
    """Nor is a line of nothing."""
    with scene.connect() as client:
        if _push_until_closed(client, b" " * _MIB, 100) > 20:
            raise BrokenError("100 MiB of spaces were taken")
        client.await_error(-32700)


def line_just_too_long(scene: Scene) -> None:
    """One byte more than the limit is too much, and the limit itself is not."""
    limit = 4 * _MIB
    for length, is_too_long in ((limit, False), (limit + 1, True)):
        line = make_request("true", "")
        line = line.replace(b'""', b'"' + b"x" * (length + 1 - len(line)) + b'"')
        with scene.connect() as client:
            client.send(line)
            response = client.await_response()
            # Linux itself takes no argument of more than 128 KiB (execve(2), MAX_ARG_STRLEN).
            code = response.get("error", {}).get("code")
            if (code == -32700) != is_too_long:
                raise BrokenError(f"a line of {length} bytes was answered by {response}")


def million_arguments(scene: Scene) -> None:
    """So many are refused by the limit on arguments, or on the line."""
    for argument in ("", "x"):
        with scene.connect() as client:
            client.send(make_request("true", *[argument] * 1_000_000))
            error = client.await_response().get("error", {})
            if error.get("code") not in (-32600, -32700):
                raise BrokenError(f"a million arguments got {error}")


def arguments_beyond_the_limit(scene: Scene) -> None:
    """One more than the limit is named as what it is."""
    with scene.connect() as client:
        client.send(make_request("true", *["x"] * 10_001))
        error = client.await_error(-32600)
    if error.get("data", {}).get("layer") != "limit":
        raise BrokenError(f"not refused by the limit: {error}")


def arguments_that_no_kernel_takes(scene: Scene) -> None:
    """What execve(2) refuses is an answer to the client, and no fault of the daemon."""
    for arguments in (["x" * 200_000], ["x" * 400] * 9_999):
        with scene.connect() as client:
            client.send(make_request("true", *arguments))
            client.await_response()


def hundred_thousand_features(scene: Scene) -> None:
    """Names that nobody knows are ignored, however many; so are known ones that come again."""
    for names in ([f"f{number}" for number in range(100_000)], [*FEATURES] * 10_000):
        with scene.connect() as client:
            client.send(make_request("true", features=names))
            client.await_response()


def hundred_thousand_variables(scene: Scene) -> None:
    """Variables that no module forwards are without effect; those it does must fit the kernel."""
    for prefix in ("X", "AIRLOCK_TEST_"):
        variables = {f"{prefix}{number}": "x" for number in range(100_000)}
        with scene.connect() as client:
            client.send(make_request("true", features=["env"], env=variables))
            client.await_response()


def variable_of_four_megabytes(scene: Scene) -> None:
    """A value that the kernel does not take is an answer, and no fault of the daemon."""
    for name in ("X", "AIRLOCK_TEST_LONG"):
        with scene.connect() as client:
            client.send(make_request("true", features=["env"], env={name: "x" * 4_000_000}))
            client.await_response()


def many_unfinished_lines(scene: Scene) -> None:
    """What all connections of an agent have sent of their requests is bounded too."""
    before = resident_memory(scene.daemon.pid)
    forget_peak(scene.daemon.pid)
    piece = b"x" * (4 * _MIB - 1)
    clients = [scene.connect() for _ in range(100)]
    try:
        for client in clients:
            client.send(piece)
        scene.daemon.ask_true()
        grown = peak_memory(scene.daemon.pid) - before
    finally:
        for client in clients:
            client.close()
    if grown > 128 * _MIB:
        raise BrokenError(f"100 unfinished requests take {grown // _MIB} MiB")


def output_without_end(scene: Scene) -> None:
    """Output that comes faster than the client takes it is not gathered."""
    before = resident_memory(scene.daemon.pid)
    forget_peak(scene.daemon.pid)
    with scene.connect() as client:
        client.send(make_script("cat /dev/zero", "base64"))
        for _ in range(500):
            client.take()
    grown = peak_memory(scene.daemon.pid) - before
    if grown > 16 * _MIB:
        raise BrokenError(f"an endless output takes {grown // _MIB} MiB")


def _push_until_closed(client: Client, piece: bytes, times: int) -> int:
    sent = 0
    while sent < times and client.send(piece):
        sent += 1
    return sent


FAMILY = make_family(
    "sizes",
    "too much of everything",
    line_of_100_megabytes,
    spaces_of_100_megabytes,
    line_just_too_long,
    million_arguments,
    arguments_beyond_the_limit,
    arguments_that_no_kernel_takes,
    hundred_thousand_features,
    hundred_thousand_variables,
    variable_of_four_megabytes,
    many_unfinished_lines,
    output_without_end,
)
