"""The manifests of docker/kubernetes, as far as they can be judged without a cluster."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e.world.command import Completed, run
from e2e.world.engine import docker
from e2e.world.manifests import build_overlay
from e2e.world.need import need
from e2e.world.product import ALIVE, HARDENED, RECIPES, Product
from e2e.world.wheels import CHECKOUT
from tasks.release.tag import list_packages

MANIFEST = RECIPES / "kubernetes" / "deployment.yaml"


@pytest.fixture(scope="module", autouse=True)
def validator() -> None:
    """Have the schemas, which bring a reader of YAML along."""
    if importlib.util.find_spec("kubernetes_validate") is None:
        need("kubernetes-validate is not installed in the environment of the tests")


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    """Return the objects of the manifest by their kind."""
    yaml = importlib.import_module("yaml")
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    """Return the specification of the pod."""
    specification: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["spec"]
    return specification


def test_the_manifest_fits_the_schema() -> None:
    """Kubernetes' own schema accepts it and knows every member."""
    _validate(MANIFEST).succeeded()


def test_an_overlay_changes_images_and_grants(tmp_path: Path) -> None:
    """As the guide has it, built by kustomize from the base; all else stays as it was."""
    yaml = importlib.import_module("yaml")
    built = tmp_path / "built.yaml"
    profile = 'commands = ["kubectl"]\n'
    built.write_text(build_overlay(tmp_path, CHECKOUT, profile=profile, images={}))
    _validate(built).succeeded()
    tag = list_packages()[0].version
    before = list(yaml.safe_load_all(MANIFEST.read_text()))
    after = {each["kind"]: each for each in yaml.safe_load_all(built.read_text())}
    for each in before:
        if each["kind"] == "ConfigMap":
            each["data"]["airlock.toml"] = profile
        else:
            pod = each["spec"]["template"]["spec"]
            pod["initContainers"][0]["image"] = f"ghcr.io/OWNER/airlock-daemon:{tag}"
            pod["containers"][0]["image"] = "registry.example.com/agent"
        assert after[each["kind"]] == each


def test_the_validation_notices_an_unknown_member(tmp_path: Path) -> None:
    """A misspelt member would not pass."""
    broken = tmp_path / "deployment.yaml"
    broken.write_text(MANIFEST.read_text().replace("startupProbe:", "startUpProbe:"))
    assert _validate(broken).exit_code != 0


def test_only_the_sidecar_mounts_the_secret(pod: dict[str, Any]) -> None:
    """The agent has the workspace and its own socket's directory, read-only, and nothing else."""
    (agent,) = pod["containers"]
    (sidecar,) = pod["initContainers"]
    (secret,) = [volume["name"] for volume in pod["volumes"] if "secret" in volume]
    assert secret in [mount["name"] for mount in sidecar["volumeMounts"]]
    mounts = {mount["name"]: mount for mount in agent["volumeMounts"]}
    assert mounts.keys() == {"sockets", "workspace"}
    assert (mounts["sockets"]["subPath"], mounts["sockets"]["readOnly"]) == ("my-agent", True)
    assert not pod["shareProcessNamespace"]
    assert not pod["automountServiceAccountToken"]


def test_the_sidecar_is_hardened_and_starts_first(pod: dict[str, Any]) -> None:
    """It gets what the image's tests show to be enough, and the agent waits for its socket."""
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert tuple(sidecar["startupProbe"]["exec"]["command"]) == ALIVE
    assert sidecar["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"]


def test_its_configuration_is_good(
    product: Product, manifests: dict[str, Any], pod: dict[str, Any], tmp_path: Path
) -> None:
    """`airlock-daemon check`, in the image and with the sidecar's own arguments, has no finding."""
    (sidecar,) = pod["initContainers"]
    files = manifests["ConfigMap"]["data"]
    mounts = []
    for mount in sidecar["volumeMounts"]:
        if mount["name"] == "configuration":
            path = tmp_path / mount["subPath"]
            path.write_text(files[mount["subPath"]])
            mounts.append(f"--volume={path}:{mount['mountPath']}:ro")
    arguments = ["check" if word == "start" else word for word in sidecar["args"]]
    words = ("run", "--rm", *HARDENED, "--tmpfs=/workspace", *mounts, product.daemon)
    assert docker(*words, *arguments).succeeded().stdout == "good; agents: my-agent"


def _validate(path: Path) -> Completed:
    module = ("-m", "kubernetes_validate", "--strict", "--quiet")
    return run((sys.executable, *module, str(path)))
