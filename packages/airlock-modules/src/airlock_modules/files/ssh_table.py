"""`[ssh]` of a profile: which hosts an agent may reach by ssh."""

from airlock_modules.files.toml_reader import TableReader
from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.host_lines import HostLine, SshGrant, read_host_line

_REMEDY = "write it like build.example.com, deploy@*.example.com or 127.0.0.1:2222"


def read_ssh_grant(table: TableReader) -> SshGrant:
    """Read `[ssh]`; faults are recorded by `table`."""
    lines = (_read_line(table, text) for text in table.strings("hosts"))
    hosts = tuple(line for line in lines if line is not None)
    return SshGrant(hosts=hosts, is_pinned=table.has("hosts"))


def _read_line(table: TableReader, text: str) -> HostLine | None:
    try:
        return read_host_line(text)
    except RemoteError as error:
        table.fault("hosts", error.problem, _REMEDY)
        return None
