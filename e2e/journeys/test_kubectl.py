"""kubectl in a container that has no network, no kubeconfig of the person's, and no credential."""

import base64
import json
import secrets
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.kubernetes_api import (
    CLIENT,
    LOGGED,
    POD,
    describe_cluster,
    running_kubernetes,
)
from e2e.world.need import need
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.running import Running
from e2e.world.scene import Stage
from e2e.world.web_server import WebServer

KUBECTL = Path("/usr/bin/kubectl")
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
PLUGIN = """\
#!/bin/sh
case $KUBERNETES_EXEC_INFO in *'"interactive": false'*) ;; *) exit 1 ;; esac
printf '%s' '{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",'
printf '%s' '"status": {{"token": "{token}", "expirationTimestamp": "2099-01-01T00:00:00Z"}}}}'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a kubeconfig, whose agent may look at its cluster."""

    person: Person
    project: Project
    server: WebServer
    image: str
    token: str
    certificate: Path
    read: threading.Event

    def words(self, line: str, *, has_tool: bool = True) -> str:
        """The command that types a line in a container, which may have kubectl of its own."""
        mount = f"--docker-arg=--volume={KUBECTL}:{KUBECTL}:ro" if has_tool else ""
        label = "--docker-arg=--label=airlock.e2e"
        return f"airlock-daemon run my {mount} {label} {self.image} sh -euc {shlex.quote(line)}"

    def run(self, line: str, *, has_tool: bool = True) -> str:
        """What it prints, which has no credential."""
        words = self.words(line, has_tool=has_tool)
        said = self.person.run(words, cwd=self.project.path)
        assert self.token not in said
        return said

    def refuse(self, line: str) -> str:
        """What it prints of a line for which the cluster is at most shown a pod."""
        before = len(self.server.asked)
        said = self.run(f"{line} 2>&1 || echo failed")
        assert said.endswith("failed")
        calls = {f"{each.method} {each.path}" for each in self.server.asked[before:]}
        pods = {f"GET /api/v1/namespaces/default/pods/{name}" for name in (POD, "other")}
        assert {each for each in calls if "namespaces" in each} <= pods
        return said

    def use(self, user: object, *, table: str = "") -> None:
        """Give the person's context another user and namespace, and the profile a table."""
        account = self.person.account
        (account.home / ".kube").mkdir(exist_ok=True)
        config = describe_cluster(self.server, user)
        account.write(account.home / ".kube/config", config, mode=0o600)
        account.own(account.home / ".kube")
        profile = self.person.files / "agents/my/airlock.toml"
        text = profile.read_text().partition("[kubectl]")[0]
        account.write(profile, f"{text}[kubectl]\n{table}\n", mode=0o600)


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage], executables: Executables, images: Images, ground: Path
) -> Iterator[Place]:
    """Return the person, while the daemon and the cluster run."""
    need(None if KUBECTL.exists() else "kubectl is missing (apt-get install kubernetes-client)")
    stage = stages["user"]
    project = Project.make(stage.account, ground / "kubectl", stage.server.make_repository("kube"))
    folder, token, read = ground / "cluster", secrets.token_hex(20), threading.Event()
    folder.mkdir()
    certificate = make_client(folder)
    with ExitStack() as stack:
        cluster = running_kubernetes(folder, token=token, clients=certificate, read=read)
        server = stack.enter_context(cluster)
        person = stack.enter_context(newcomer(stage.account, executables))
        place = Place(
            person=person,
            project=project,
            server=server,
            image=images.debian,
            token=token,
            certificate=certificate,
            read=read,
        )
        add = "airlock-daemon agent add my --workspace . --command kubectl --yes"
        person.run(add, cwd=project.path)
        place.use({"token": token})
        sockets = ("my/airlock.sock", "my/https.sock")
        stack.enter_context(person.start(*sockets, said=ground / "kubectl.log"))
        yield place


def make_client(folder: Path) -> Path:
    """A file with the key and the certificate of CLIENT, which stands for itself."""
    path = folder / "client.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-subj", f"/CN={CLIENT}", "-days", "2", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(["openssl", *words], capture_output=True, check=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_an_application_can_be_looked_at(place: Place) -> None:
    """As a table and in JSON; the log arrives line by line. The token is the person's alone."""
    assert POD in place.run("kubectl get pods")
    assert json.loads(place.run(f"kubectl get pod {POD} -o json"))["kind"] == "Pod"
    assert "name: web" in place.run("kubectl get deployment web -o yaml")
    assert "successfully rolled out" in place.run("kubectl rollout status deployment/web")
    variables = [f"{name}={value}" for name, value in place.person.environment.items()]
    line = f"cd {place.project.path}; exec {place.words(f'kubectl logs -f {POD}')}"
    with Running(("env", "-i", *variables, *place.person.shell(line))) as following:
        following.wait_for(LOGGED.strip())
        place.read.set()
        following.wait_for("the end")
    assert {each.account for each in place.server.asked} == {f"Bearer {place.token}"}
    said = place.run("env; cat /run/airlock/kubeconfig /run/airlock/client.env; ls /sys/class/net")
    assert said.splitlines()[-1] == "lo"


def test_what_is_not_granted_is_refused_in_words_of_the_cluster(place: Place) -> None:
    """Secrets, another namespace, commands in pods, changes, and acting as somebody else."""
    for line in (
        "kubectl get secrets",
        "kubectl get pods --all-namespaces",
        "kubectl get pods -n kube-system",
        f"kubectl exec {POD} -- id",
        f"kubectl delete pod {POD}",
        f"kubectl get --raw /api/v1/namespaces/default/pods/{POD}/proxy/",
        "kubectl create token default",
        "kubectl get pods --as=admin",
    ):
        assert "airlock: " in place.refuse(line), line


def test_a_profile_grants_commands_in_a_pod_and_changes(place: Place) -> None:
    """By the name of the pod, and by operation; a command comes by WebSocket, or by SPDY."""
    rule = "PATCH /api/v1/namespaces/default/configmaps/settings"
    place.use({"token": place.token}, table=f'exec = ["{POD}"]\nallow = ["{rule}"]')
    place.person.run("airlock-daemon reload", cwd=place.project.path)
    assert place.run(f"kubectl exec {POD} -- echo hello") == "ECHO HELLO"
    apply = f"echo {shlex.quote(json.dumps(SETTINGS))} | kubectl apply --validate=false"
    assert "configmap/settings" in place.run(f"{apply} --server-side -f -")
    old = "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false kubectl exec"
    assert place.run(f"{old} {POD} -- echo again") == "ECHO AGAIN"
    asked = place.server.asked[-1]
    assert (asked.method, asked.headers["upgrade"]) == ("POST", "SPDY/3.1")
    other = "/api/v1/namespaces/default/pods/other/exec?command=id"
    assert "airlock: " in place.refuse(f"kubectl get --raw '{other}'")
    records = place.person.run("airlock-daemon log tail --json", cwd=place.project.path)
    streams = [each for each in map(json.loads, records.splitlines()) if "/exec" in str(each)]
    done = next(
        each for each in streams if each["event"] == "broker" and each["outcome"] == "allowed"
    )
    assert done["detail"]["received"] > len("ECHO HELLO")


def test_an_image_without_kubectl_has_that_of_the_host_in_a_box(place: Place) -> None:
    """With the same placeholder, and no file of the person's; whatever it is told to do."""

    def run(line: str) -> str:
        return place.run(line, has_tool=False)

    assert POD in run("kubectl get pods")
    assert run(f"kubectl logs {POD}") == LOGGED.strip()
    assert run(f"kubectl exec {POD} -- echo hello") == "ECHO HELLO"
    text = shlex.quote(json.dumps(SETTINGS))
    apply = "kubectl apply --validate=false --server-side -f settings.json"
    assert "configmap/settings" in run(f"echo {text} >settings.json; {apply}")
    assert "airlock: " in run("kubectl get secrets 2>&1 || echo failed")
    assert "proxy-url: http://127.0.0.1" in run("kubectl config view --raw")
    theirs = f"--kubeconfig={place.person.account.home}/.kube/config"
    assert "clusters: null" in run(f"kubectl {theirs} config view --raw")
    records = place.person.run("airlock-daemon log tail -n 99 --json", cwd=place.project.path)
    runs = [each for each in map(json.loads, records.splitlines()) if each["event"] == "exec"]
    assert {each["sandbox"] for each in runs} == {"bubblewrap"}


def test_a_certificate_or_a_program_of_the_person_opens_the_cluster(place: Place) -> None:
    """The container's kubectl goes on with the same placeholder."""
    text = base64.b64encode(place.certificate.read_bytes()).decode()
    place.use({"client-certificate-data": text, "client-key-data": text})
    place.person.run("airlock-daemon reload", cwd=place.project.path)
    before = len(place.server.asked)
    assert POD in place.run("kubectl get pods")
    asked = place.server.asked[before:]
    assert {(each.client, each.account) for each in asked} == {(CLIENT, "")}
    home = place.person.account.home
    plugin = place.person.account.write(
        home / "plugin", PLUGIN.format(token=place.token), mode=0o700
    )
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}
    place.use(user)
    place.person.run("airlock-daemon reload", cwd=place.project.path)
    before = len(place.server.asked)
    assert POD in place.run("kubectl get pods")
    assert {each.account for each in place.server.asked[before:]} == {f"Bearer {place.token}"}
