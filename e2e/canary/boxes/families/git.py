"""git on a poisoned repository: what its configuration names runs, and that is in the box."""

from collections.abc import Iterator, Mapping

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.repository import poison
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.world.lines import TERMINAL

# Keys of .git/config, each with the command that heeds it. Before those that get nothing even where
# the host's files are in the box stands a hyphen.
SETTINGS: tuple[tuple[Mapping[str, str], str], ...] = (
    ({"core.fsmonitor": "./evil"}, "status"),
    ({"core.sshCommand": "./evil"}, "fetch ssh://host/x"),
    ({"core.gitProxy": "./evil"}, "ls-remote git://host/x"),
    ({"core.pager": "./evil"}, "-p log"),
    ({"core.editor": "./evil"}, "commit --allow-empty"),
    ({"sequence.editor": "./evil"}, "- rebase -i b"),
    ({"core.hooksPath": "bin", "alias.x": "!./evil"}, "x"),
    ({"diff.external": "./evil"}, "diff"),
    ({"diff.evil.textconv": "./evil"}, "diff"),
    ({"diff.evil.command": "./evil"}, "diff"),
    ({"filter.evil.clean": "./evil"}, "add f"),
    ({"filter.evil.smudge": "./evil"}, "checkout -f"),
    ({"filter.evil.process": "./evil"}, "add f"),
    ({"merge.evil.driver": "./evil"}, "merge -m x b"),
    ({"gpg.program": "./evil"}, "commit --allow-empty -m x -S"),
    ({"gpg.ssh.program": "./evil", "gpg.format": "ssh", "user.signingKey": "f"}, "tag -s -m x t"),
    ({"credential.helper": "<here>/evil"}, "- credential fill"),
    ({"core.askPass": "./evil"}, "- credential fill"),
    ({"remote.origin.uploadpack": "./evil"}, "fetch origin"),
    ({"remote.origin.receivepack": "./evil"}, "push origin main"),
    ({"remote.x.vcs": "evil"}, "- fetch x"),
    ({"protocol.ext.allow": "always", "remote.x.url": "ext::./evil"}, "fetch x"),
    ({"submodule.f.update": "!./evil"}, "- submodule update --init"),
    ({"difftool.x.cmd": "./evil", "diff.tool": "x"}, "difftool -y"),
    ({"mergetool.x.cmd": "./evil", "merge.tool": "x"}, "- mergetool"),
    ({"browser.x.cmd": "./evil", "help.browser": "x"}, "- help -w status"),
    ({"man.x.cmd": "./evil", "man.viewer": "x"}, "help -m status"),
    ({"interactive.diffFilter": "./evil"}, "add -p"),
    ({"trailer.x.command": "./evil", "trailer.x.key": "x"}, "interpret-trailers --trailer x f"),
    ({"uploadpack.packObjectsHook": "./evil"}, "- clone . d"),
    ({"core.alternateRefsCommand": "./evil"}, "fetch origin"),
    ({"pager.log": "./evil"}, "- -p log"),
    ({"include.path": "<home>/.gitconfig"}, "config --list --show-origin"),
    ({"include.path": "<home>/.git-credentials"}, "- status"),
    ({"core.attributesFile": "<home>/.netrc"}, "- check-attr -a f"),
    ({"core.excludesFile": "<home>/.netrc"}, "- check-ignore -v token"),
    ({"commit.template": "<home>/.netrc"}, "- commit --allow-empty --edit --dry-run -v"),
    ({"blame.ignoreRevsFile": "<home>/.netrc"}, "- blame f"),
    ({"mailmap.file": "<home>/.netrc"}, "- shortlog HEAD"),
    ({"http.cookieFile": "<home>/.netrc"}, "- ls-remote https://host/x"),
    ({"core.worktree": "<home>"}, "- add --all --dry-run"),
    ({"trace2.eventTarget": "<outside>/made"}, "- status"),
    ({"gc.auto": "1", "gc.autoDetach": "true"}, "- gc --auto"),
    ({"maintenance.auto": "true", "maintenance.strategy": "incremental"}, "- maintenance start"),
)

# By class, as the rules of git name what is harmless in a closed box.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "config": (
        "-c core.fsmonitor=./evil status",
        "-c core.sshCommand=./evil fetch ssh://host/x",
        "-c core.pager=./evil -p log",
        "- --config-env=core.fsmonitor=PATH status",
    ),
    "alias": ("-c alias.x=!./evil x", "-c alias.x=!cat\\ <home>/.netrc x"),
    "exec-path": ("--exec-path=bin evil", "--exec-path=<here>/bin evil"),
    "remote-program": (
        "fetch --upload-pack=./evil origin",
        "push --receive-pack=./evil origin main",
        "- clone -u ./evil . d",
        "ls-remote --exec=./evil .",
    ),
    "command": (
        "- rebase -x ./evil b",
        "- bisect run ./evil",
        "hook run post-merge",
        "- for-each-repo --config=a.b x",
        "commit -m x -a",
        "checkout b -f",
    ),
    "opens": (
        "- grep -O./evil one HEAD",
        "grep -O./evil changed",
        "difftool -y -x ./evil",
        "- mergetool",
        "- instaweb",
        "- help -w",
    ),
    "driver": (
        "- diff --ext-diff",
        "- diff --textconv",
        "- cat-file --filters HEAD:f",
        "- cat-file --textconv HEAD:f",
        "-c filter.evil.clean=./evil add f",
    ),
    "strategy": (
        "- merge -s evil b",
        "cherry-pick --strategy=ours/../evil b",
        "merge -s resolve -X index-output=../../outside/made b",
    ),
    "new-repository": (
        "- clone --template=<home> . d",
        "- clone -c core.fsmonitor=<here>/evil . d",
        "- init --template=<home> d",
        "- clone --bundle-uri=file://<home>/.netrc . d",
        "- clone --reference <home> . d",
    ),
    "transport": (
        "- -c protocol.ext.allow=always clone ext::./evil d",
        "- clone file://<home> d",
        "- clone <other> d",
        "- push <outside>",
        "- ls-remote ssh://-oProxyCommand=x/y",
        "- ls-remote http://127.0.0.1:<tcp>/x",
        "- ls-remote git://127.0.0.1:<tcp>/x",
    ),
    "credential": (
        "- credential fill",
        "- -c credential.helper=<here>/evil credential fill",
        "- credential-store --file <home>/.git-credentials get",
        "- credential-store get",
        "- credential-cache exit",
    ),
    "settings": (
        "- config --list --show-origin",
        "- config --global --list",
        "- config --global alias.x !id",
        "- config --system x.y z",
        "- config --get-regexp .",
        "- var -l",
        "config -f <home>/.netrc -l",
        "- config -f <config>/config.toml -l",
        "config -f <outside>/file a.b c",
    ),
    "other-file": (
        "diff --no-index /dev/null <home>/.ssh/id_ed25519",
        "- grep --no-index token <home>",
        "- hash-object -w <home>/.netrc",
        "blame --contents <home>/.netrc f",
        "commit --allow-empty -F <home>/.netrc",
        "- apply --unsafe-paths <home>/.netrc",
        "- -C <home> log",
        "- --git-dir=<config> log",
        "- --work-tree=<home> add -v .",
        "- update-index --add --cacheinfo 100644,<home>",
        "interpret-trailers <home>/.netrc",
        "- cat-file --batch-check --batch-all-objects",
    ),
    "written-file": (
        "log --output=<outside>/made",
        "archive -o <outside>/made HEAD",
        "format-patch -o <outside> HEAD~1",
        "bundle create <outside>/made HEAD",
        "worktree add <outside>/made",
        "checkout-index --prefix=<outside>/ -a",
        "- init <outside>/made",
        "- init --separate-git-dir=<outside>/made .",
        "fast-export --export-marks=<outside>/made HEAD",
    ),
    "server": (
        "- daemon --base-path=/ --export-all --port=<tcp>",
        "- upload-pack <home>",
        "- receive-pack <other>",
        "- upload-archive <home>",
        "- archive --remote=<home> HEAD",
        "- http-backend",
        "- shell -c git-upload-pack\\ <home>",
    ),
    "mail": ("- send-email --smtp-server=<here>/evil f", "- imap-send", "- svn fetch", "- p4 sync"),
    "plumbing": (
        "fetch-pack --exec=./evil . main",
        "send-pack --receive-pack=./evil . main",
        "- remote-ext x ./evil",
        "- remote-https x https://127.0.0.1:<tcp>/x",
    ),
    "maintenance": ("- maintenance start", "- maintenance register", "- fsmonitor--daemon start"),
    "extension": ("- evil", "- lfs push origin main", "- annex init"),
    "unknown": (
        "- log --no-such-flag",
        "- --shallow-file <home>/.netrc log",
        "- --attr-source=x status",
    ),
    "import": (
        "- fast-export --import-marks=<home>/.netrc HEAD",
        "- quiltimport --patches <home>",
    ),
    "two-readings": (
        "log --grep -q --grep --output=<outside>/made",
        "- diff -- --no-index <home>/.netrc",
        "- stash list -- --output=<outside>/made",
    ),
}


def _attack(name: str, marked: str, settings: Mapping[str, str]) -> Attack:
    words = marked.removeprefix("- ")

    def run(scene: BoxScene) -> bytes:
        poison(scene, settings)
        # A space that is part of a word has a backslash before it.
        spelled = scene.fill(words.replace("\\ ", "\0"))
        split = [word.replace("\0", " ") for word in spelled.split()]
        if {"-p", "-i"} & {*split}:
            return scene.run("git", *split, features=["tty", "base64"], tty=TERMINAL)
        return scene.run("git", *split)

    return Attack(f"{name}{words}", "box-files", run, words == marked)


def _attacks() -> Iterator[Attack]:
    for settings, words in SETTINGS:
        yield _attack(f"{', '.join(settings)} by ", words, settings)
    for each, lines in CLASSES.items():
        for words in lines:
            yield _attack(f"box-git/{each}: ", words, {})


FAMILY = Family("box-git", tuple(_attacks()), why_not)
