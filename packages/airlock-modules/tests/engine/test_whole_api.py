"""Each method and path of the engine's API, version 1.45, is in the table of calls or refused."""

import re

import pytest

from airlock_modules.engine import NEWEST, Refused, find_call
from airlock_modules.engine.calls import TABLE

GRANTED = {(call.method, call.path) for call in TABLE}

# As the specification of the engine lists them, by the first segment of their path.
REFUSED = """
POST /auth
POST /build
GET /configs
POST /configs/create
GET /configs/{id}
DELETE /configs/{id}
POST /configs/{id}/update
POST /containers/{id}/update
GET /containers/{id}/attach/ws
GET /distribution/{name}/json
GET /images/search
GET /nodes
GET /nodes/{id}
DELETE /nodes/{id}
POST /nodes/{id}/update
GET /plugins
GET /plugins/privileges
POST /plugins/pull
GET /plugins/{name}/json
DELETE /plugins/{name}
POST /plugins/{name}/enable
POST /plugins/{name}/disable
POST /plugins/{name}/upgrade
POST /plugins/create
POST /plugins/{name}/push
POST /plugins/{name}/set
GET /secrets
POST /secrets/create
GET /secrets/{id}
DELETE /secrets/{id}
POST /secrets/{id}/update
GET /services
POST /services/create
GET /services/{id}
DELETE /services/{id}
POST /services/{id}/update
GET /services/{id}/logs
POST /session
POST /grpc
GET /swarm
POST /swarm/init
POST /swarm/join
POST /swarm/leave
POST /swarm/update
GET /swarm/unlockkey
POST /swarm/unlock
GET /tasks
GET /tasks/{id}
GET /tasks/{id}/logs
PUT /volumes/{name}
GET /containers/{id}/checkpoints
POST /containers/{id}/checkpoints
DELETE /containers/{id}/checkpoints/{name}
GET /debug/pprof/
GET /debug/vars
GET /metrics
"""
_LINES = [tuple(line.split()) for line in REFUSED.split("\n") if line]


@pytest.mark.parametrize(("method", "path"), _LINES)
def test_what_is_not_granted_is_refused(method: str, path: str) -> None:
    """Swarm, plugins, secrets, the builder and what reads or writes the host are refused."""
    plain = re.sub(r"\{\w+\}", "x", path)
    for written in (plain, f"/v1.45{plain}", f"{plain}/", plain.upper()):
        with pytest.raises(Refused):
            find_call(method, written, "", spoken=NEWEST)


@pytest.mark.parametrize("path", sorted({path for _, path in GRANTED}))
def test_a_granted_path_has_its_own_methods_alone(path: str) -> None:
    """Another method of the same path is refused, unless it is another line of the table."""
    plain = re.sub(r"\{\w+\}", "x", path)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"):
        try:
            found = find_call(method, plain, "", spoken=NEWEST)
        except Refused:
            assert (method, path) not in GRANTED
        else:
            assert found.call.method == method
            assert (method, found.call.path) in GRANTED
