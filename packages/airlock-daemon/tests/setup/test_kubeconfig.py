"""Tests of `airlock_daemon.setup.kubeconfig`, with a program in the place of kubectl."""

import base64
import json
import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from airlock_daemon.setup.agents import AgentApis
from airlock_daemon.setup.apis import refuse_ungranted
from airlock_daemon.setup.checking import find_api_oddities
from airlock_daemon.setup.credential import Access, BadCredential
from airlock_daemon.setup.kubeconfig import Cluster, Plugin
from airlock_modules.apis import ApiCall
from worlds import World

PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----"
KEY = "-----BEGIN EC PRIVATE KEY-----\nTUlJ\n-----END EC PRIVATE KEY-----"
SERVER = "https://10.0.0.5:6443"
_NOW = 1_800_000_000


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(
    user: Mapping[str, object] | None = None,
    *,
    server: str = SERVER,
    namespace: str | None = None,
    cluster: Mapping[str, object] | None = None,
) -> bytes:
    """A kubeconfig of one context, as kubectl prints it."""
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    return json.dumps(
        {
            "kind": "Config",
            "apiVersion": "v1",
            "preferences": {},
            "current-context": "work",
            "contexts": [{"name": "work", "context": context}],
            "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
            "users": [{"name": "u", "user": user if user is not None else {"token": "t0"}}],
        }
    ).encode()


def test_a_cluster_is_that_of_the_current_context() -> None:
    """With the path that some servers have, and the authority in PEM."""
    data = write(
        server="https://Rancher.example.com/k8s/clusters/c-1/",
        namespace="web",
        cluster={"certificate-authority-data": _encode(f"comment\n{PEM}\n")},
    )
    cluster = Cluster.read(data)
    assert (cluster.context, cluster.namespace) == ("work", "web")
    assert cluster.server == "https://rancher.example.com:443/k8s/clusters/c-1"
    assert cluster.ca == f"{PEM}\n"
    assert (Cluster.read(write()).namespace, Cluster.read(write()).ca) == ("default", "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no kubeconfig"),
        (b"apiVersion: v1", "is no kubeconfig"),
        (b'{"current-context": "\xc7"}', "is no kubeconfig"),
        (b'{"x": ' + b"[" * 100_000, "is no kubeconfig"),
        (b"{}", "has no current context"),
        (write(server="http://10.0.0.5"), "plain URL with https"),
        (write(server="https://u:p@10.0.0.5"), "plain URL with https"),
        (write(server="https://10.0.0.5/../x"), "plain URL with https"),
        (write(server='https://10.0.0.5/"x'), "plain URL with https"),
        (write(server="https://10.0.0.5:x"), "is no URL"),
        (write(server="https://[::1]:6443"), "no IPv4 address"),
        (write(server="https://*.example.com"), "no IPv4 address"),
        (write(namespace='a", "b'), "namespace"),
        (write(cluster={"insecure-skip-tls-verify": True}), "not verified"),
        (write(cluster={"proxy-url": "http://x"}), "proxy-url"),
        (write(cluster={"tls-server-name": "x"}), "tls-server-name"),
        (write(cluster={"certificate-authority-data": "%"}), "not PEM in base64"),
        (write(cluster={"certificate-authority-data": _encode("x")}), "certificate-authority"),
    ],
)
def test_a_cluster_that_is_another_than_it_looks_is_refused(data: bytes, problem: str) -> None:
    """Whatever would be done otherwise than kubectl does it."""
    with pytest.raises(BadCredential, match=problem):
        Cluster.read(data)


def test_a_user_has_a_token_a_certificate_a_file_or_a_program() -> None:
    """A program is told of the cluster where it wants that."""
    assert Cluster.read_user(write()) == Access(token="t0")
    pair = {"client-certificate-data": _encode(PEM), "client-key-data": _encode(KEY)}
    assert Cluster.read_user(write(pair)) == Access(certificate=f"{PEM}\n{KEY}\n")
    assert Cluster.read_user(write({"token": "old", "tokenFile": "/run/token"})) == "/run/token"
    version = "client.authentication.k8s.io/v1beta1"
    plugin = {
        "apiVersion": version,
        "command": "aws",
        "args": ["eks", "get-token"],
        "env": [{"name": "AWS_PROFILE", "value": "ops"}],
        "provideClusterInfo": True,
    }
    found = Cluster.read_user(write({"exec": plugin}))
    assert isinstance(found, Plugin)
    assert (found.words, found.variables["AWS_PROFILE"]) == (("aws", "eks", "get-token"), "ops")
    info = json.loads(found.variables["KUBERNETES_EXEC_INFO"])
    assert (info["apiVersion"], info["spec"]["cluster"]["server"]) == (version, SERVER)


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ({}, "neither a token nor a certificate"),
        ({"token": "t", "as": "looker"}, "acts as another user"),
        ({"token": "t", "as-groups": ["g"]}, "acts as another user"),
        ({"token": "t", "as-user-extra": {"a": ["b"]}}, "acts as another user"),
        ({"username": "u", "password": "p"}, "password or auth-provider"),
        ({"auth-provider": {"name": "gcp"}}, "password or auth-provider"),
        ({"token": "a\r\nX: b"}, "characters that no header may have"),
        ({"client-certificate-data": _encode(PEM)}, "one unencrypted key"),
        (
            {"exec": {"apiVersion": "v1", "command": "x", "interactiveMode": "Always"}},
            "wants a terminal",
        ),
    ],
)
def test_a_user_who_is_more_than_its_credential_is_refused(
    user: dict[str, object], problem: str
) -> None:
    """Without what it says beside, a request would have other rights than the human's."""
    with pytest.raises(BadCredential, match=problem):
        Cluster.read_user(write(user))


def credential(kind: str = "ExecCredential", version: str = "v1", **status: object) -> bytes:
    """What a program prints."""
    name = f"client.authentication.k8s.io/{version}"
    return json.dumps({"kind": kind, "apiVersion": name, "status": status}).encode()


def test_an_exec_credential_has_an_end() -> None:
    """With a token, or a certificate and its key."""
    found = Access.of_exec_credential(
        credential(token="t", expirationTimestamp="2027-01-15T08:10:00Z"),
        _NOW,
    )
    assert (found.token, found.lasts_s) == ("t", 600)
    found = Access.of_exec_credential(
        credential(version="v1beta1", clientCertificateData=PEM, clientKeyData=KEY), _NOW
    )
    assert (found.certificate, found.lasts_s) == (f"{PEM}\n{KEY}\n", math.inf)
    assert "KEY" not in repr(found)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"token", "no ExecCredential in JSON"),
        (credential("Secret", token="t"), "no ExecCredential of v1"),
        (credential(version="v1alpha1", token="t"), "no ExecCredential of v1"),
        (credential(), "neither a token"),
        (credential(token="t", expirationTimestamp="2020-01-01T00:00:00Z"), "has ended"),
        (credential(clientKeyData=KEY), "not one certificate"),
    ],
)
def test_what_is_no_exec_credential_is_refused(data: bytes, problem: str) -> None:
    """Or one that is good no more."""
    with pytest.raises(BadCredential, match=problem):
        Access.of_exec_credential(data, _NOW)


def test_a_certificate_is_one_with_one_key_and_nothing_else() -> None:
    """In whatever order; an encrypted key would be asked for at a terminal."""
    found = Access.of_certificate(f"{KEY}\n{PEM}\n{PEM}".encode())
    assert found.certificate.count("CERTIFICATE") == 4
    encrypted = KEY.replace("EC PRIVATE", "ENCRYPTED PRIVATE")
    for text in (PEM, KEY, f"{PEM}{KEY}{KEY}", f"{PEM}\n{encrypted}", "x"):
        with pytest.raises(BadCredential, match="not one certificate"):
            Access.of_certificate(text.encode())


class Kubectl:
    """A program that prints a kubeconfig, first on the daemon's PATH; `log` has its words."""

    def __init__(self, world: World) -> None:
        self.world = world
        folder = world.root / "bin"
        folder.mkdir()
        self.program = folder / "kubectl"
        self.log = world.root / "kubectl.log"
        self.home = world.root / "home"
        (self.home / ".kube").mkdir(parents=True)
        (self.home / ".kube/config").write_text("")
        self.print(write())

    def print(self, data: bytes) -> None:
        """Have it print this."""
        log = shlex.quote(str(self.log))
        self.program.write_text(
            f"#!/bin/sh\necho \"$@\" >>{log}\ncat <<'END'\n{data.decode()}\nEND\n"
        )
        self.program.chmod(0o755)

    def load(self, table: str = "", *, more: str = "") -> tuple[AgentApis, list[str]]:
        """What a profile with this table grants, and what is warned of."""
        (self.world.config / "config.toml").write_text(
            f'[commands]\nenable = ["kubectl"]\n[log]\npath = "{self.world.log}"\n'
        )
        text = f'commands = ["kubectl"]\n{more}\n[kubectl]\n{table}\n'
        (self.world.agent / "airlock.toml").write_text(text)
        setup = self.world.load()
        source = str(self.world.agent / "airlock.toml")
        warnings = [str(each) for each in setup.warnings if each.source == source]
        return setup.generations["my"].apis, warnings


@pytest.fixture
def kubectl(world: World, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """A world with a kubeconfig in the daemon's home."""
    made = Kubectl(world)
    monkeypatch.setenv("PATH", f"{made.program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return made


def test_an_agent_gets_the_cluster_of_the_context_and_no_credential(kubectl: Kubectl) -> None:
    """Its namespace where the profile names none; the context is pinned."""
    kubectl.print(write(namespace="web", server=f"{SERVER}/base"))
    apis, warnings = kubectl.load()
    (api,) = apis.apis
    assert warnings == []
    assert (api.hosts, api.ports) == (("10.0.0.5",), (6443,))
    assert api.judge(ApiCall(method="GET", path="/base/api/v1/namespaces/web/pods")).refusal is None
    assert api.judge(ApiCall(method="GET", path="/api/v1/namespaces/web/pods")).refusal
    assert api.credential is not None
    assert api.credential.source.words[-1] == "--context=work"
    ((_, client),) = apis.clients
    text = client.files["/run/airlock/kubeconfig"]
    given = json.loads(text.replace("{placeholder}", "p").replace("{ca}", "/ca"))
    assert given["clusters"][0]["cluster"]["server"] == f"{SERVER}/base"
    assert given["contexts"][0]["context"]["namespace"] == "web"
    assert "t0" not in text


def test_a_profile_names_the_context_and_the_namespaces(kubectl: Kubectl) -> None:
    """Whoever names none works in the first of them."""
    apis, _ = kubectl.load('context = "work"\nkubeconfig = "~/k"\nnamespaces = ["a", "b"]')
    assert kubectl.log.read_text().split()[-2:] == [
        f"--kubeconfig={kubectl.home}/k",
        "--context=work",
    ]
    ((_, client),) = apis.clients
    assert '"namespace": "a"' in client.files["/run/airlock/kubeconfig"]
    (api,) = apis.apis
    assert api.judge(ApiCall(method="GET", path="/api/v1/namespaces/default/pods")).refusal
    assert api.judge(ApiCall(method="GET", path="/api/v1/namespaces/b/pods")).refusal is None


def test_without_a_cluster_nothing_is_granted_and_that_is_said(kubectl: Kubectl) -> None:
    """Everything else of the configuration is served."""
    kubectl.print(write(cluster={"insecure-skip-tls-verify": True}))
    apis, warnings = kubectl.load()
    assert apis.apis == ()
    assert any("there is no cluster: the kubeconfig has a cluster" in each for each in warnings)
    kubectl.program.write_text("#!/bin/sh\necho secret >&2\nexit 1\n")
    apis, warnings = kubectl.load()
    assert apis.apis == ()
    assert any("kubectl shows no such context" in each for each in warnings)
    assert "secret" not in str(warnings)
    setup = kubectl.world.load()
    my = setup.generations["my"]
    told = find_api_oddities([my.agent], setup.config.ceiling, setup.state, setup.search_path)
    assert list(told) == []
    refusal = refuse_ungranted(my.grant.modules["kubectl"])
    assert "that of this agent could not be read" in str(refusal)
    assert refusal.hint == "a person on the host can see why: airlock check"


def test_a_kubeconfig_that_an_agent_can_write_is_not_read(kubectl: Kubectl, tmp_path: Path) -> None:
    """It names programs that the daemon runs, and files that it reads."""
    workspace = tmp_path / "project"
    workspace.mkdir()
    (workspace / "k").write_text("")
    (kubectl.home / "link").symlink_to(workspace / "k")
    mounts = f'[workspace]\nsame_path = ["{workspace}"]'
    for path in (workspace / "k", kubectl.home / "link"):
        apis, warnings = kubectl.load(f'kubeconfig = "{path}"', more=mounts)
        assert apis.apis == ()
        assert any("is reached through a workspace" in each for each in warnings)
    others = kubectl.home / "others"
    others.write_text("")
    others.chmod(0o666)
    apis, warnings = kubectl.load(f'kubeconfig = "{others}"')
    assert apis.apis == ()
    assert any("there is no cluster" in each for each in warnings)
    assert not kubectl.log.exists()


def test_a_kubeconfig_names_no_file_or_program_that_an_agent_can_write(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    """An authority would vouch for any server, and a program would run as the human."""
    workspace = tmp_path / "project"
    workspace.mkdir()
    written = workspace / "written"
    written.write_text("#!/bin/sh\n")
    written.chmod(0o755)
    (kubectl.home / ".kube/link").symlink_to(written)
    outside = kubectl.home / "outside"
    outside.write_text(f"#!/usr/bin/env {written}\n")
    outside.chmod(0o755)
    mounts = f'[workspace]\nsame_path = ["{workspace}"]'
    version = "client.authentication.k8s.io/v1"
    for data in (
        write(cluster={"certificate-authority": str(written)}),
        write(cluster={"certificate-authority": "link"}),
        write({"client-certificate": str(written), "client-key": "/dev/null"}),
        write({"exec": {"apiVersion": version, "command": str(written)}}),
        write({"exec": {"apiVersion": version, "command": str(outside)}}),
    ):
        kubectl.print(data)
        apis, warnings = kubectl.load(more=mounts)
        assert apis.apis == ()
        assert any("is reached through a workspace" in each for each in warnings)
        # It was asked for the names alone, and has read none of the files.
        assert "--flatten" not in kubectl.log.read_text()
