"""The time of the host's tools in closed boxes with the HTTPS broker, and directly."""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from e2e.world import aws_server
from e2e.world.api_services import GITHUB, Services, running_services, write_hosts
from e2e.world.daemon import Daemon
from e2e.world.errors import BrokenError
from e2e.world.installation import quote
from e2e.world.kubernetes_api import describe_cluster, running_kubernetes
from e2e.world.npm_registry import Registry
from e2e.world.project import TOOLS
from e2e.world.terraform import install_terraform

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import base_environment
from bench.errors import BenchError
from bench.figures import Figure, at_most, estimated, fail
from bench.interleaving import interleave
from bench.samples import estimate
from bench.setup_files import BOX_USER, TIMED, Places

_GOAL = at_most(10)
_ADDRESS, _CLOUD = "127.78.0.1", "127.78.0.2"
_CLONE_NEWNS = 0x20000
_CALLS = (
    ("aws", "sts", "get-caller-identity"),
    ("gh", "api", "user"),
    ("kubectl", "get", "--raw", "/api/v1/namespaces/default/pods"),
    ("kubectl", "get", "pods"),
    ("terraform", "version"),
    ("terraform", "plan", "-input=false", "-lock=false"),
)
_CONFIGURATION = 'resource "terraform_data" "one" {\n  input = "something"\n}\n'
_PROFILE = """\
commands = ["aws", "gh", "kubectl", "terraform"]
[workspace]
mounts = {{ {work} = {work} }}
[git]
push = ["github.com/acme/app"]
[aws]
profile = "{reader}"
regions = ["{region}"]
hosts = {hosts}
"""


def measure_tools(run: BenchRun) -> Iterator[Figure]:
    """Yield what each of some tools adds to its direct time in a box.

    Only for our own pair, and only as root: the services are at port 443 of loopback addresses, and
    their names resolve only in this measurement.
    """
    if os.geteuid() != 0:
        return
    # A mount namespace belongs to a thread and the processes that it starts.
    with ThreadPoolExecutor(1) as alone:
        yield from alone.submit(lambda: list(_measure(run))).result()


def _measure(run: BenchRun) -> Iterator[Figure]:
    if reason := aws_server.why_not():
        raise BenchError(reason)
    folder = run.data / "tools"
    folder.mkdir()
    _hide_hosts(folder)
    try:
        with _serve(run, folder) as (places, variables):
            work = places.work
            with contextlib.chdir(work), Caller(patience_s=run.plan.patience_s) as caller:
                for name, *words in _CALLS:
                    yield _compare(run, caller, places, variables, (name, *words))
    except BrokenError as error:
        raise BenchError(str(error)) from error


def _compare(
    run: BenchRun,
    caller: Caller,
    places: Places,
    variables: Mapping[str, str],
    argv: tuple[str, ...],
) -> Figure:
    name, pair = argv[0], run.pairs[0].name
    what = f"`{' '.join(argv[:4])}` in a box: adds to direct"
    program = shutil.which(name, path=variables["PATH"])
    if program is None:
        return fail(what, pair, "ms", f"{name} is not installed", goal=_GOAL)
    client = base_environment(places.home) | {"AIRLOCK_SOCKET": str(places.socket(TIMED))}
    calls = {
        "direct": Call(program, argv, dict(variables)),
        "through": Call(str(places.links / name), argv, client),
    }
    try:
        samples = interleave(
            {title: partial(caller.time, call) for title, call in calls.items()},
            rounds=max(run.plan.calls // 8, 1),
            warm_up=2,
            budget_s=run.plan.budget_s / 2,
        )
    except BenchError as error:
        return fail(what, pair, "ms", str(error), goal=_GOAL)
    direct, through = samples["direct"], samples["through"]
    pairs = zip(direct.values, through.values, strict=False)
    return estimated(
        estimate([(other - one) * 1e3 for one, other in pairs]),
        what=what,
        pair=pair,
        unit="ms",
        goal=_GOAL,
        behind={
            "direct ms": direct.median * 1e3,
            "through ms": through.median * 1e3,
            "direct p90 ms": direct.quantile(0.9) * 1e3,
            "through p90 ms": through.quantile(0.9) * 1e3,
        },
    )


def _hide_hosts(folder: Path) -> None:
    """Make the services' names resolve for this thread and its children."""
    hosts = write_hosts(folder / "hosts", address=_ADDRESS, cloud=_CLOUD)
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise BenchError(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    for words in (("--make-rslave", "/"), ("--bind", str(hosts), "/etc/hosts")):
        subprocess.run(["mount", *words], check=True)


@contextlib.contextmanager
def _serve(run: BenchRun, folder: Path) -> Iterator[tuple[Places, dict[str, str]]]:
    """Yield the files of a serving daemon, and the variables of a user on the host."""
    token = f"gho_{secrets.token_hex(18)}"
    services = Services(tokens={GITHUB: token}, registry=Registry(token=""))
    cluster = folder / "cluster"
    for made in (folder / "work", folder / "web", cluster):
        made.mkdir()
    (folder / "work" / "main.tf").write_text(_CONFIGURATION)
    with contextlib.ExitStack() as stack:
        web = running_services(folder / "web", services, address=_ADDRESS, cloud=_CLOUD)
        authority = stack.enter_context(web).authority
        stack.enter_context(aws_server.running_cloud(folder, authority, address=_CLOUD))
        kubernetes = stack.enter_context(running_kubernetes(cluster, token=token))
        places = Places(folder / "daemon", work=folder / "work", shim=run.pairs[0].shim)
        home = places.home
        (home / ".config/gh").mkdir(parents=True)
        login = f"github.com:\n    oauth_token: {token}\n    user: ada\n"
        (home / ".config/gh/hosts.yml").write_text(login)
        (home / ".config/gh/config.yml").write_text('version: "1"\n')
        (home / "kubeconfig").write_text(describe_cluster(kubernetes, {"token": token}))
        variables = base_environment(home) | {
            "PATH": f"{_find_terraform(folder)}{TOOLS}",
            "SSL_CERT_FILE": str(authority),
            "KUBECONFIG": str(home / "kubeconfig"),
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        }
        names = [name for name, *_ in _CALLS]
        for name in dict.fromkeys(names):
            (places.links / name).symlink_to(run.pairs[0].shim)
        # No box runs as root.
        places.enable(dict.fromkeys(names), more=f'\n[sandbox]\nuser = "{BOX_USER}"\n')
        profile = _PROFILE.format(
            work=quote(places.work),
            reader=aws_server.READER,
            region=aws_server.REGION,
            hosts=json.dumps(aws_server.NAMES),
        )
        places.add_agent(TIMED, profile=profile)
        daemon = Daemon(
            places.argv([run.pairs[0].daemon]),
            said=places.said,
            sockets=places.list_sockets,
            environment=variables,
            patience_s=run.plan.patience_s,
        )
        stack.enter_context(daemon)
        yield (
            places,
            variables
            | {
                "AWS_CA_BUNDLE": str(authority),
                "AWS_PROFILE": aws_server.READER,
                "AWS_REGION": aws_server.REGION,
                "CHECKPOINT_DISABLE": "1",
            },
        )


def _find_terraform(folder: Path) -> str:
    """Return a PATH prefix with Terraform, "" if it is in TOOLS or not available."""
    if shutil.which("terraform", path=TOOLS):
        return ""
    programs = folder / "terraform" / "bin"
    programs.mkdir(parents=True)
    return "" if install_terraform(programs) else f"{programs}:"
