"""The manifests for Kubernetes: the chart by Helm's own code, and an overlay by kustomize."""

import base64
import importlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.blocks import list_blocks

from .command import Completed, run
from .need import need

# In a process of its own: it loads Helm, which is a library with the runtime of Go.
_RENDER = """
import json, sys, helm_python
path, values = sys.argv[1], json.loads(sys.argv[2])
with helm_python.Chart.load(path) as chart:
    print(json.dumps(chart.render(values, name="my", namespace="team")))
report = helm_python.lint(path, values, strict=True)
faults = [each for each in report["messages"] if each["severity"] > 1]
sys.exit(str(faults) if faults or report["errors"] else 0)
"""


# In one line: Podman cannot read again what it writes of several.
_FS_GROUP = (
    "chgrp 1000 /sockets /workspace && chmod 2777 /sockets /workspace"
    " && mkdir -p /sockets/my-agent && chown 1000:1000 /sockets/my-agent"
)


def render_chart(chart: Path, values: dict[str, Any]) -> Completed:
    """Render the archive of a chart, as the release `my`; the answer is for `read_chart`."""
    return run((sys.executable, "-c", _RENDER, str(chart), json.dumps(values)))


def read_chart(done: Completed) -> str:
    """Return the text of what was rendered."""
    text: str = json.loads(done.succeeded().stdout)["airlock/templates/agent.yaml"]
    return text


def build_overlay(folder: Path, checkout: Path, *, profile: str, images: Mapping[str, str]) -> str:
    """Build the page's overlay of the checkout's base, with other images in the place of its own.

    `folder` is there. `images` has texts for the page's own names; the page's tag stays.
    """
    need(None if shutil.which("kubectl") else "there is no kubectl")
    shutil.copytree(checkout / "docker/kubernetes", folder / "base")
    overlay = folder / "overlay"
    overlay.mkdir()
    page = list_blocks(str(checkout / "docs/where/kubernetes.md"))
    (text,) = (block.text for block in page if block.text.startswith("resources:"))
    remote = "https://github.com/OWNER/REPO//docker/kubernetes?ref=TAG"
    assert remote in text
    for before, after in ((remote, "../base"), *images.items()):
        assert before in text
        text = text.replace(before, after)
    (overlay / "kustomization.yaml").write_text(text)
    (overlay / "airlock.toml").write_text(profile)
    return run(("kubectl", "kustomize", str(overlay))).succeeded().stdout


def write_for_podman(manifest: str, files: dict[str, str]) -> str:
    """Return the manifest as `podman kube play` takes it, with the secret of these files.

    Podman knows no sidecars with probes: ours is an ordinary container. It knows no `fsGroup`
    either, so a container before them does what the kubelet would to their directories, and to
    that of the socket, which Kubernetes finds made by the daemon.
    """
    yaml = importlib.import_module("yaml")
    objects = [each for each in yaml.safe_load_all(manifest) if each]
    (pod,) = (each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment")
    sidecars = pod.pop("initContainers")
    for sidecar in sidecars:
        for name in ("restartPolicy", "startupProbe", "livenessProbe"):
            del sidecar[name]
    pod["containers"] = [*sidecars, *pod["containers"]]
    image = pod["containers"][-1]["image"]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("sockets", "workspace")]
    root = {"runAsUser": 0, "runAsNonRoot": False}
    begin = {"name": "fs-group", "image": image, "volumeMounts": mounts, "securityContext": root}
    pod["initContainers"] = [{**begin, "command": ["sh", "-c", _FS_GROUP]}]
    for volume in pod["volumes"]:
        # Each container would have a tmpfs of its own.
        volume.get("emptyDir", {}).clear()
    (secret,) = (each["secret"] for each in pod["volumes"] if "secret" in each)
    secret["defaultMode"] = 0o444
    named = {"name": secret["secretName"]}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
    objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": named, "data": data})
    text: str = yaml.safe_dump_all(objects)
    return text
