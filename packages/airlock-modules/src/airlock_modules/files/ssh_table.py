"""Reading `[ssh]` of a profile: granted logins."""

from airlock_modules.files.toml_reader import TableReader
from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.grants import SshGrant
from airlock_modules.remotes.hosts import HostLine, read_host_line

_HOST_REMEDY = "write it like build.example.com, deploy@*.example.com or 127.0.0.1:2222"


def read_ssh_grant(table: TableReader) -> SshGrant:
    """Read `[ssh]`; `table` records faults."""
    lines = (_read_line(table, text) for text in table.strings("hosts"))
    hosts = tuple(line for line in lines if line is not None)
    return SshGrant(hosts=hosts, is_pinned=table.has("hosts"))


def _read_line(table: TableReader, text: str) -> HostLine | None:
    try:
        return read_host_line(text)
    except RemoteError as error:
        table.fault("hosts", error.problem, _HOST_REMEDY)
        return None
