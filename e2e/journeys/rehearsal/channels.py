"""The channels, each as what a person does: install a release or upgrade to it, and push."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.action_job import run_action
from e2e.world.command import run
from e2e.world.container import Container
from e2e.world.devcontainers import IMAGE, placed
from e2e.world.engine import docker
from e2e.world.executables import Executables
from e2e.world.fresh_host import FreshHosts
from e2e.world.git_server import GitServer
from e2e.world.images import Images, temporary_image
from e2e.world.included import included, make_push
from e2e.world.keyed_host import keyed_host
from e2e.world.manifests import build_overlay, read_chart, render_chart
from e2e.world.need import need
from e2e.world.pod import podman_pod
from e2e.world.product import build, make_base
from e2e.world.registry import Registry
from e2e.world.scene import Stage
from e2e.world.wheels import CHECKOUT

from .releases import Release

README = (CHECKOUT / "README.md").read_text()
_RELEASES = "/releases"
_AGENT = (
    'FROM {}\nCOPY --from={} /airlock-shim /usr/local/bin/\nRUN ["airlock-shim", "--install-git"]\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What came of one release: the version that a program names, and the commit at the server."""

    version: str
    pushed: str
    arrived: str | None


Use = Callable[[Release, str], Used]
"""Takes a release by the channel, whatever was there before, and pushes to a branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a channel may take from."""

    hosts: FreshHosts
    server: GitServer
    stage: Stage
    images: Images
    executables: Executables
    devcontainer: str
    registry: Registry
    releases: Path
    folder: Path


@contextmanager
def by_deb(world: World) -> Iterator[Use]:
    """A package of Debian: the files of the person stay, and a purge leaves nothing else."""
    assert "`apt install ./airlock_*.deb`" in README
    need(None if shutil.which("lintian") else "there is no lintian")
    repository = world.server.make_repository("by-deb")
    volume = f"--volume={world.releases}:{_RELEASES}:ro"
    files = "cat ~/.config/airlock/*.toml ~/.config/airlock/agents/my/* | sha256sum"
    kept = ""
    with keyed_host(world.hosts, world.server, world.folder / "deb", volume) as host:

        def use(release: Release, branch: str) -> Used:
            nonlocal kept
            (deb,) = release.dist.glob("airlock_*_amd64.deb")
            run(("lintian", "--fail-on=error", "--allow-root", str(deb))).succeeded()
            # What it depends on is there, and apt has no index here.
            path = f"{_RELEASES}/{deb.relative_to(world.releases)}"
            host.type(f"dpkg --install {path}", user="root")
            if not kept:
                host.begin(repository.url_from_containers)
                host.register("airlock {}")
                kept = host.type(files)
            pushed = host.push("airlock {}", branch)
            assert host.type(files) == kept
            said = host.type("airlock --version")
            return Used(version=said, pushed=pushed, arrived=repository.commit(branch))

        yield use
        host.type("dpkg --purge airlock", user="root")
        find = "find / -xdev -path '*airlock*' -not -path '/home/*'"
        assert host.type(find, user="root") == ""


@contextmanager
def by_action(world: World) -> Iterator[Use]:
    """The action of a tag: a job is a new machine each time."""
    repository = world.server.make_repository("by-action-of-a-tag")
    volume = f"--volume={world.releases}:{_RELEASES}:ro"
    wheels = f"{_RELEASES}/*/dist/*.whl {_RELEASES}/*/dist/image/wheels/*.whl"

    def use(release: Release, branch: str) -> Used:
        folder = world.folder / f"job-{release.version}"
        with keyed_host(world.hosts, world.server, folder, volume) as runner, runner.index(wheels):
            path, _ = run_action(runner, release.checkout / "channels/action", repository)
            pushed = runner.push_only(branch)
            said = runner.type(f"{path}/airlock --version")
        return Used(version=said, pushed=pushed, arrived=repository.commit(branch))

    yield use


@contextmanager
def by_feature(world: World) -> Iterator[Use]:
    """A feature, published under the same tag `:0`: its lock file holds until an upgrade."""
    words = ("rehearsed", "--command git-remote", world.stage, world.executables)
    with (
        placed(*words, world.folder, world.devcontainer) as place,
        temporary_image("rehearsed-base", IMAGE.format(world.images.debian)) as image,
    ):

        def start() -> tuple[Container, str]:
            container = place.start("--remove-existing-container", "--build-no-cache")
            return container, place.execute(container, "airlock-shim --version")

        before = ""

        def use(release: Release, branch: str) -> Used:
            nonlocal before
            folder = world.folder / f"features-{release.version}"
            shutil.copytree(release.dist / "channels/devcontainer", folder)
            place.configure(image, place.publish(folder, world.registry))
            if before:
                held, said = start()
                assert said == before
                place.remove(held)
                place.upgrade()
            container, before = start()
            place.push(container, branch)
            place.remove(container)
            arrived = place.project.repository.commit(branch)
            return Used(version=before, pushed=place.project.head(), arrived=arrived)

        yield use


@contextmanager
def by_include(world: World) -> Iterator[Use]:
    """A compose file that includes the daemon, with images of the registry by their versions."""
    folder = world.folder / "include"
    first = world.releases / "0/checkout/docker/include"
    with included(folder, first, world.images.git_server) as including:
        repository = including.server.make_repository("by-include")

        def use(release: Release, branch: str) -> Used:
            daemon, agent = publish_images(release, world.registry, world.images.debian)
            for name in (daemon, agent):
                docker_as(world.registry, folder, "pull", "--quiet", name)
            recipe = release.checkout / "docker/include"
            composition = including.start(recipe, daemon=daemon, agent=agent)
            pushed = including.push(composition.client("agent"), repository, branch)
            words = ("airlock", "--version")
            said = composition.client("airlock").run(*words, cwd="/").succeeded().stdout
            return Used(version=said, pushed=pushed, arrived=repository.commit(branch))

        yield use


def publish_images(release: Release, registry: Registry, debian: str) -> tuple[str, str]:
    """Push the images of a release by its version; return those of the daemon and of an agent."""
    base, context = make_base(), release.dist / "image"
    shim = build("Dockerfile.shim", context, name="rehearsed-shim")
    made = {
        "airlock-daemon": build(
            "Dockerfile.daemon", context, f"--build-arg=BASE={base}", name="rehearsed-daemon"
        ),
        "airlock-shim": shim,
    }
    names = {name: f"{registry.address}/{name}:{release.version}" for name in (*made, "agent")}
    folder = release.dist.parent
    for name, image in made.items():
        docker("tag", image, names[name]).succeeded()
        docker_as(registry, folder, "push", "--quiet", names[name])
    # The line of the README, at this registry.
    recipe = _AGENT.format(debian, names["airlock-shim"])
    words = ("build", "--quiet", "--network=none", f"--tag={names['agent']}", "-")
    docker(*words, stdin=recipe.encode()).succeeded()
    docker_as(registry, folder, "push", "--quiet", names["agent"])
    docker("rmi", *names.values()).succeeded()
    docker("rmi", "--no-prune", *made.values())
    return names["airlock-daemon"], names["agent"]


def docker_as(registry: Registry, folder: Path, *words: str) -> None:
    """Call docker with the login at the registry, which is in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(registry.configuration())
    docker("--config", str(folder), *words).succeeded()


def by_kustomize(world: World) -> AbstractContextManager[Use]:
    """The base of a tag, with the overlay of its page, whose tag of the daemon stays."""

    def render(release: Release, profile: str, daemon: str, agent: str) -> str:
        folder = world.folder / f"overlay-{release.version}"
        folder.mkdir()
        name, _, tag = agent.rpartition(":")
        images = {
            "ghcr.io/OWNER/airlock-daemon": daemon.rpartition(":")[0],
            "registry.example.com/agent": f"{name}\n    newTag: {tag}",
        }
        return build_overlay(folder, release.checkout, profile=profile, images=images)

    return _by_pod(world, "agent-pod", render)


def by_helm(world: World) -> AbstractContextManager[Use]:
    """The chart of a release, with its images as values."""

    def render(release: Release, profile: str, daemon: str, agent: str) -> str:
        (chart,) = (release.dist / "channels/helm").iterdir()
        values = {"profile": profile, "daemon": {"image": daemon}, "agent": {"image": agent}}
        return read_chart(render_chart(chart, values))

    return _by_pod(world, "my-pod", render)


@contextmanager
def _by_pod(
    world: World, name: str, render: Callable[[Release, str, str, str], str]
) -> Iterator[Use]:
    """Podman's pod, replaced by the next; only the images differ between the manifests."""
    repository = world.server.make_repository(f"by-{name}")
    seen: list[tuple[str, str]] = []
    with podman_pod(name, world.folder, world.server, world.registry) as pod:

        def use(release: Release, branch: str) -> Used:
            daemon, agent = publish_images(release, world.registry, world.images.debian)
            manifest = render(release, pod.profile, daemon, agent)
            seen.append((release.version, manifest))
            (first, before), (last, after) = seen[0], seen[-1]
            assert before.replace(first, last) == after
            pod.play(manifest)
            pushed = pod.call("agent", make_push(repository.url_from_containers, branch))
            said = pod.call("airlock", "airlock --version")
            return Used(version=said, pushed=pushed, arrived=repository.commit(branch))

        yield use


CHANNELS: Mapping[str, Callable[[World], AbstractContextManager[Use]]] = {
    "deb": by_deb,
    "action": by_action,
    "feature": by_feature,
    "include": by_include,
    "kustomize": by_kustomize,
    "helm": by_helm,
}
