"""The daemon in a pod: what Kubernetes' restricted profile leaves it, without a cluster.

The same restrictions are put on a container of Docker, whose default seccomp profile is that of
`RuntimeDefault`. That the kubelet sets what the lines say is argued: here the manifest with them is
held against Kubernetes' schema, and what they stand for is given to Docker, but for the user
namespace, which Podman's tests have.
"""

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e.world.command import run
from e2e.world.images import Images
from e2e.world.need import need
from e2e.world.product import RECIPES, Product

from .served import RESTRICTED, served
from .told import PROFILE, Told

MANIFEST = RECIPES / "kubernetes" / "deployment.yaml"
POD = "--env=KUBERNETES_SERVICE_HOST=10.0.0.1"
"""What the kubelet tells each container, and Docker none."""


@pytest.fixture
def told(product: Product, images: Images, tmp_path: Path) -> Told:
    """Return what doctor says in a container like that of a pod, whose commands have Landlock."""
    tmp_path.chmod(0o755)
    with served(product, images.shim, tmp_path / "pod", *RESTRICTED, POD) as place:
        place.git("init", "--quiet", ".").succeeded()
        assert place.boxes() == ["landlock"]
        return place.told()


def test_the_lines_for_a_pod_fit_the_schema(told: Told, tmp_path: Path) -> None:
    """Put where doctor says that they belong, in the manifest of docker/kubernetes."""
    if importlib.util.find_spec("kubernetes_validate") is None:
        need("kubernetes-validate is not installed in the environment of the tests")
    yaml = importlib.import_module("yaml")
    for_pod, for_container = read_lines(told, yaml)
    assert for_pod == {"hostUsers": False}
    assert for_container == {
        "seccompProfile": {"type": "Localhost", "localhostProfile": PROFILE},
        "procMount": "Unmasked",
    }
    objects = list(yaml.safe_load_all(MANIFEST.read_text()))
    (pod,) = [one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment"]
    pod.update(for_pod)
    pod["initContainers"][0]["securityContext"].update(for_container)
    written = tmp_path / "deployment.yaml"
    written.write_text(yaml.safe_dump_all(objects))
    validate = ("-m", "kubernetes_validate", "--strict", "--quiet", str(written))
    run((sys.executable, *validate)).succeeded()


def test_what_the_lines_stand_for_makes_boxes_of_bubblewrap(
    told: Told, product: Product, images: Images, tmp_path: Path
) -> None:
    """The named profile and an unmasked /proc, with all other restrictions as they are."""
    told.write_profile(tmp_path, image=product.daemon)
    same = (f"--security-opt=seccomp={tmp_path / PROFILE}", "--security-opt=systempaths=unconfined")
    with served(product, images.shim, tmp_path / "better", *RESTRICTED, POD, *same) as place:
        place.git("init", "--quiet", ".").succeeded()
        assert place.boxes() == ["bubblewrap"]
        assert place.told().boxes == "bubblewrap"


def test_the_profile_is_one_that_a_kubelet_reads(
    told: Told, product: Product, tmp_path: Path
) -> None:
    """It has members of the OCI's specification alone: containerd knows none of Docker's own."""
    told.write_profile(tmp_path, image=product.daemon)
    profile = json.loads((tmp_path / PROFILE).read_text())
    assert profile.keys() == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    for rule in profile["syscalls"]:
        assert rule.keys() <= {"names", "action", "args"}
        assert rule["action"] == "SCMP_ACT_ALLOW"
        assert {key for one in rule.get("args", ()) for key in one} <= {"index", "value", "op"}


def read_lines(told: Told, yaml: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what doctor names for the pod, and for the security context of the container."""
    remedy = told.remedies["container"]
    (for_pod,) = re.findall(r"for the pod (hostUsers: \w+)", remedy)
    (context,) = re.findall(r"securityContext: (\{.*\})", remedy)
    return yaml.safe_load(for_pod), yaml.safe_load(context)
