"""APIs that an agent uses without seeing a credential: parsing, judging and rewriting requests.

A request is parsed (`read_head`, `read_graphql`), its credential checked (`uses_placeholder`), its
operation judged (`Api.judge`), and its placeholder replaced (`exchange`). Nothing here does I/O.
"""

from airlock_modules.apis.api import Api, ApiCall, Client, Credential, Source
from airlock_modules.apis.credentials import (
    Exchanged,
    exchange,
    make_placeholder,
    present,
    uses_placeholder,
)
from airlock_modules.apis.graphql import MAX_BODY, GraphQlField, read_graphql
from airlock_modules.apis.head import (
    MAX_HEAD,
    BadHead,
    ForeignCredential,
    Head,
    head_end,
    read_head,
)
from airlock_modules.apis.patterns import Verdict, matches_host, share_hosts

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "Api",
    "ApiCall",
    "BadHead",
    "Client",
    "Credential",
    "Exchanged",
    "ForeignCredential",
    "GraphQlField",
    "Head",
    "Source",
    "Verdict",
    "exchange",
    "head_end",
    "make_placeholder",
    "matches_host",
    "present",
    "read_graphql",
    "read_head",
    "share_hosts",
    "uses_placeholder",
]
