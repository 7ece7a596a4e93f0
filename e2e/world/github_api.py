"""As much of GitHub's API as gh needs for pull requests: of the repository acme/app, by GraphQL."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .web_server import Answer, Asked, WebServer, running_web

TITLE = "Mend the door"


@contextmanager
def running_github(folder: Path, *, token: str) -> Iterator[WebServer]:
    """Serve as a GitHub Enterprise Server, whoever has the token. `folder` is empty."""

    def answer(asked: Asked) -> Answer:
        if asked.account != f"token {token}":
            return 401, {"message": "Bad credentials"}
        if asked.path == "/api/graphql":
            return 200, _answer_query(json.loads(asked.body)["query"])
        if asked.path == "/api/v3/user":
            return 200, {"login": "ada"}
        return 404, {"message": "Not Found"}

    with running_web(folder, answer) as server:
        yield server


def _answer_query(query: str) -> object:
    repository: dict[str, object] = {"id": "R_1", "name": "app", "owner": {"login": "acme"}}
    if "pullRequests(" in query:
        page = {"hasNextPage": False, "endCursor": ""}
        repository["pullRequests"] = {"totalCount": 1, "nodes": [_pull_request()], "pageInfo": page}
    if "pullRequest(" in query:
        repository["pullRequest"] = _pull_request()
    return {"data": {"repository": repository}}


def _pull_request() -> dict[str, object]:
    return {
        "id": "PR_7",
        "number": 7,
        "title": TITLE,
        "body": "It squeaks.",
        "state": "OPEN",
        "url": "https://github.example.com/acme/app/pull/7",
        "headRefName": "agent/door",
        "createdAt": "2026-01-01T00:00:00Z",
    }
