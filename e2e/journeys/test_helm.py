"""The chart of channels/helm, rendered by Helm's own code and without a cluster."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e.world.command import Completed, run
from e2e.world.manifests import read_chart, render_chart
from e2e.world.need import need
from tasks.places import ROOT
from tasks.release.channels import write_chart

BASE = ROOT / "docker" / "kubernetes" / "deployment.yaml"
VALUES: dict[str, Any] = {
    "profile": 'commands = ["git"]\n',
    "daemon": {"image": "daemon:1"},
    "agent": {"image": "agent:1"},
}
"""What a person has to give."""


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Have Helm, and the schemas, which bring a reader of YAML along."""
    for module in ("helm_python", "kubernetes_validate"):
        if importlib.util.find_spec(module) is None:
            need(f"{module} is not installed in the environment of the tests")


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive that a release publishes."""
    return write_chart(tmp_path_factory.mktemp("chart") / "helm", epoch=0)


def test_the_chart_is_the_base_of_kustomize_with_values_in_it(chart: Path) -> None:
    """With what has to be given, all else is as `kubectl apply` of the base has it."""
    yaml = importlib.import_module("yaml")
    rendered = read(yaml, render_chart(chart, VALUES))
    configuration, deployment = yaml.safe_load_all(BASE.read_text())
    configuration["metadata"]["name"] = "my-airlock"
    configuration["data"]["airlock.toml"] = VALUES["profile"]
    template = deployment["spec"]["template"]
    deployment["metadata"]["name"] = "my"
    for labels in (deployment["metadata"]["labels"], template["metadata"]["labels"]):
        labels["app.kubernetes.io/instance"] = "my"
    deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] = "my"
    (checksum,) = rendered["Deployment"]["spec"]["template"]["metadata"].pop("annotations")
    assert checksum == "checksum/profile"
    template["spec"]["initContainers"][0]["image"] = "daemon:1"
    template["spec"]["containers"][0]["image"] = "agent:1"
    (volume,) = (each for each in template["spec"]["volumes"] if "configMap" in each)
    volume["configMap"]["name"] = "my-airlock"
    assert rendered == {"ConfigMap": configuration, "Deployment": deployment}


def test_every_value_fits_the_schema_of_kubernetes(chart: Path, tmp_path: Path) -> None:
    """Each goes where it belongs: Kubernetes' own schema knows it there."""
    yaml = importlib.import_module("yaml")
    one = {"name": "A", "value": "b"}
    context = {"procMount": "Unmasked"}
    more: dict[str, Any] = {
        "credentials": "team-ssh",
        "workspace": {"persistentVolumeClaim": {"claimName": "work"}},
        "daemon": {**VALUES["daemon"], "env": [one], "securityContext": context},
        "agent": {**VALUES["agent"], "command": ["agent"], "args": ["go"], "env": [one]},
        "pod": {"hostUsers": False, "imagePullSecrets": [{"name": "registry"}]},
    }
    done = render_chart(chart, VALUES | more)
    pod = read(yaml, done)["Deployment"]["spec"]["template"]["spec"]
    (sidecar,), (agent,) = pod["initContainers"], pod["containers"]
    assert (pod["hostUsers"], pod["imagePullSecrets"]) == (False, [{"name": "registry"}])
    assert (sidecar["env"], agent["env"], agent["command"]) == ([one], [one], ["agent"])
    # Merged: the rest of what hardens the sidecar stays.
    assert sidecar["securityContext"].items() >= context.items()
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["credentials"]["secret"]["secretName"] == "team-ssh"
    assert volumes["workspace"] == {"name": "workspace", **more["workspace"]}
    written = tmp_path / "rendered.yaml"
    written.write_text(read_chart(done))
    validate = ("-m", "kubernetes_validate", "--strict", "--quiet", str(written))
    run((sys.executable, *validate)).succeeded()


def test_another_profile_makes_another_pod(chart: Path) -> None:
    """A file that is mounted by subPath would stay the one that it was."""
    yaml = importlib.import_module("yaml")
    profiles = ("", "# more\n")
    made = [
        read(yaml, render_chart(chart, VALUES | {"profile": VALUES["profile"] + more}))
        for more in profiles
    ]
    before, after = (each["Deployment"]["spec"]["template"]["metadata"] for each in made)
    assert before != after


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"profile": ""}, "--set-file profile=airlock.toml"),
        ({"daemon": {"image": ""}}, "set daemon.image"),
        ({"agent": {"image": ""}}, "set agent.image"),
        ({"pod": {"shareProcessNamespace": True}}, "'shareProcessNamespace' not allowed"),
        ({"agent": {"image": "a", "volumeMounts": []}}, "'volumeMounts' not allowed"),
        ({"workspace": {"secret": {"secretName": "airlock-ssh"}}}, "'secret' not allowed"),
        ({"agnet": {}}, "'agnet' not allowed"),
    ],
    ids=str,
)
def test_what_would_not_hold_is_refused(values: dict[str, Any], says: str, chart: Path) -> None:
    """Nothing starts without a profile, and no value gives the agent the secret or the daemon."""
    done = render_chart(chart, VALUES | values)
    assert done.exit_code != 0
    assert says in done.stderr


def read(yaml: Any, done: Completed) -> dict[str, Any]:
    """Return the rendered objects by their kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(read_chart(done)) if each}
