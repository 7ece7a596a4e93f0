"""As much of GitHub's API as gh needs for the pull requests of the repository acme/app."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .web_server import Answer, Asked, WebServer, running_web

TITLE = "Mend the door"
HEAD = "agent/door"
"""Title and branch of the pull request 7, which is there already."""


@contextmanager
def running_github(folder: Path, *, token: str) -> Iterator[WebServer]:
    """Serve as a GitHub Enterprise Server, whoever has the token. `folder` is empty."""
    with running_web(folder, lambda asked: answer_github(asked, token=token)) as server:
        yield server


def answer_github(asked: Asked, *, token: str) -> Answer:
    """Answer as api.github.com or as a GitHub Enterprise Server does, whoever has the token."""
    if asked.account not in (f"token {token}", f"Bearer {token}"):
        return 401, {"message": "Bad credentials"}
    if asked.path in ("/graphql", "/api/graphql"):
        question = json.loads(asked.body)
        return 200, _answer_query(question["query"], question.get("variables", {}))
    if asked.path in ("/rate_limit", "/api/v3/rate_limit"):
        return 200, {"resources": {}}
    if asked.path in ("/user", "/api/v3/user"):
        return 200, {"login": "ada"}
    if asked.path == "/repos/acme/app/pulls":
        return 200, [_pull_request(7, TITLE)]
    return 404, {"message": "Not Found"}


def _answer_query(query: str, variables: Mapping[str, Any]) -> object:
    if "createPullRequest(" in query:
        return {"data": {"createPullRequest": {"pullRequest": _pull_request(8, "")}}}
    if "__type(" in query:
        # gh asks what this server knows: nothing that it has to.
        return {"data": {}}
    repository: dict[str, object] = {
        "id": "R_1",
        "name": "app",
        "owner": {"login": "acme"},
        "viewerPermission": "WRITE",
        "defaultBranchRef": {"name": "main"},
    }
    if "pullRequests(" in query:
        head = variables.get("headRefName", HEAD)
        found = [_pull_request(7, TITLE)] if head == HEAD else []
        page = {"hasNextPage": False, "endCursor": ""}
        counted = {"totalCount": len(found), "nodes": found, "pageInfo": page}
        repository["pullRequests"] = counted
    if "pullRequest(" in query:
        repository["pullRequest"] = _pull_request(7, TITLE)
    return {"data": {"repository": repository}}


def _pull_request(number: int, title: str) -> dict[str, object]:
    return {
        "id": f"PR_{number}",
        "number": number,
        "title": title,
        "body": "It squeaks.",
        "state": "OPEN",
        "url": f"https://github.example.com/acme/app/pull/{number}",
        "headRefName": HEAD,
        "createdAt": "2026-01-01T00:00:00Z",
    }
