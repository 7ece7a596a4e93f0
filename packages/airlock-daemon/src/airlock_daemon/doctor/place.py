"""The container that the daemon stands in, and what lets boxes be made there."""

from collections.abc import Iterator

from airlock_daemon.doctor.boxes import make_box
from airlock_daemon.doctor.confinement import SECCOMP
from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding

_PODMAN, _DOCKER = "/run/.containerenv", "/.dockerenv"
_KUBERNETES = "KUBERNETES_SERVICE_HOST"
_LABEL = "/proc/self/attr/current"

_PRINT = f"docker run --rm IMAGE doctor --seccomp >{SECCOMP}"
_LINES = {
    "Kubernetes": (
        f"{_PRINT}, copied to /var/lib/kubelet/seccomp of each node; then for the pod hostUsers: "
        "false, and for the daemon's container securityContext: {seccompProfile: {type: Localhost, "
        f"localhostProfile: {SECCOMP}}}, procMount: Unmasked}}"
    ),
    "Podman": (
        f"{_PRINT.replace('docker', 'podman')}; then podman run --security-opt seccomp={SECCOMP} "
        "--security-opt unmask=ALL"
    ),
    "Docker": (
        f"{_PRINT}; then docker run --security-opt seccomp={SECCOMP} --security-opt "
        f'systempaths=unconfined, or in Compose security_opt: ["seccomp:{SECCOMP}", '
        '"systempaths=unconfined"]'
    ),
}
_UNCONFINED = {
    "Kubernetes": "; and appArmorProfile: {type: Unconfined} beside these",
    "Podman": "; and --security-opt apparmor=unconfined",
    "Docker": "; and --security-opt apparmor=unconfined, in Compose apparmor:unconfined",
}


def find_container_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell how the engine of the container that this is must be told to let boxes be made."""
    engine = find_engine(around)
    if engine is None or make_box(around) is None:
        return
    remedy = _LINES[engine]
    label = around.read(_LABEL) or "unconfined"
    if not label.startswith("unconfined"):
        remedy += _UNCONFINED[engine]
    problem = "keeps bubblewrap from making a box, by its defaults"
    yield Finding(engine, "", problem, remedy, name="container", is_note=True)


def find_engine(around: Surroundings) -> str | None:
    """Whose container this is, None where it is none that is known."""
    if _KUBERNETES in around.environment:
        return "Kubernetes"
    if around.read(_PODMAN) is not None:
        return "Podman"
    return None if around.read(_DOCKER) is None else "Docker"
