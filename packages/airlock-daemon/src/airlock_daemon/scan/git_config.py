"""A git configuration file (git-config(1)), read without git, and what of it git would run by.

Which settings run something nobody can list for good: git gets new ones. So what is known to be
harmless is listed, and everything else counts.
"""

import functools
import re
from collections.abc import Iterator

import msgspec

_KEYS = """
author: email name
branch: autosetupmerge autosetuprebase sort
branch.*: description gh-merge-base merge mergeoptions pushremote rebase remote
    vscode-merge-base
commit: cleanup gpgsign status verbose
committer: email name
core: abbrev autocrlf bare bigfilethreshold checkstat commentchar commentstring commitgraph
    compression deltabasecachelimit eol filemode fscache fsync fsyncmethod hidedotfiles
    ignorecase logallrefupdates longpaths loosecompression multipackindex notesref
    packedgitlimit packedgitwindowsize precomposeunicode preloadindex protecthfs protectntfs
    quotepath repositoryformatversion safecrlf sharedrepository sparsecheckout
    sparsecheckoutcone splitindex symlinks trustctime untrackedcache warnambiguousrefs
    whitespace
credential: usehttppath username
diff: algorithm colormoved colormovedws context ignoresubmodules indentheuristic
    interhunkcontext mnemonicprefix noprefix relative renamelimit renames statgraphwidth
    submodule
extensions: compatobjectformat noop objectformat partialclone preciousobjects refstorage
    relativeworktrees worktreeconfig
fetch: fsckobjects output parallel prune prunetags recursesubmodules showforcedupdates
    unpacklimit writecommitgraph
help: autocorrect
http: lowspeedlimit lowspeedtime postbuffer version
init: defaultbranch
lfs: repositoryformatversion
lfs.*: access
merge: autostash conflictstyle directoryrenames ff log renamelimit renames stat verbosity
pull: ff octopus rebase
push: autosetupremote default followtags gpgsign recursesubmodules usebitmaps
rebase: abbreviatecommands autosquash autostash missingcommitscheck rebasemerges stat updaterefs
receive: autogc denycurrentbranch denydeletes denynonfastforwards fsckobjects
remote: pushdefault
remote.*: fetch followremotehead gh-resolved mirror partialclonefilter promisor prune prunetags
    push pushurl skipdefaultupdate skipfetchall tagopt url
safe: directory
submodule: active fetchjobs propagatebranches recurse
submodule.*: active branch fetchrecursesubmodules ignore path shallow update url
tag: forcesignannotated gpgsign sort
user: email name signingkey useconfigonly
"""
"""Keys of sections, `*` a subsection."""
_SECTIONS = "color column advice gc maintenance pack index feature log status stash rerere i18n"
"""All settings of which are harmless, without a subsection."""

_RUNS = (
    (r"core\.fsmonitor", "every git command runs it"),
    (r"core\.hookspath", "git runs what is there at commit, checkout, push and more"),
    (r"core\.(sshcommand|gitproxy)|remote\..*\.(uploadpack|receivepack|vcs|proxy)", "git fetch"),
    (r"core\.pager|pager\..*|interactive\.difffilter", "git runs it to show log, diff and more"),
    (r"core\.(editor|askpass)|sequence\.editor", "git runs it to ask"),
    (r"alias\..*", "is what a git command of yours means"),
    (r"credential\..*", "git runs it, or gives it passwords"),
    (
        r"(diff|merge|filter|difftool|mergetool)\..*",
        "git runs it for files that it shows or checks out",
    ),
    (r"gpg\..*", "git runs it to sign and to verify"),
    (r"include(if)?\..*", "git obeys the settings of that file"),
    (r"hook\..*", "git runs it as a hook"),
    (r"submodule\..*", "git submodule update runs it"),
    (r"core\.worktree", "git writes its files there"),
)

_PLAIN_URL = re.compile(r"(https?|ssh|git|git\+ssh)://|([\w.-]+@)?[\w.-]+:(?!//|:)")
"""Of a remote that is reached over the network. git push runs the hooks of one on this host."""


class Setting(msgspec.Struct, frozen=True):
    """One setting: its line, its name in small letters but for the subsection, and its value."""

    line: int
    name: str
    value: str


class _BadLineError(Exception):
    """What git does not read as a setting."""


class _Reader:
    """The characters of a file, taken as git's own parser takes them (config.c)."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._at = 0
        self.line = 1

    def take(self) -> str:
        """The next character; a line's end also at the end of the file."""
        if self._at >= len(self._text):
            self._at += 1
            return "\n"
        character = self._text[self._at]
        self._at += 1
        self.line += character == "\n"
        return character

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._text)

    def take_line(self) -> str:
        """The whole line of the last character, what follows of which is passed over."""
        position = min(self._at, len(self._text)) - 1
        start = self._text.rfind("\n", 0, max(position, 0)) + 1
        end = self._text.find("\n", position)
        end = len(self._text) if end < 0 else end
        if self._text[position : position + 1] != "\n":
            self._at = end
        return self._text[start:end].strip()


def parse(text: str) -> Iterator[Setting]:
    """All settings of the file. A line that is none has "" as its name, and itself as the value."""
    reader = _Reader(text)
    section = ""
    while not reader.is_at_end:
        first = reader.line
        character = reader.take()
        if character.isspace():
            continue
        try:
            if character in "#;":
                while reader.take() != "\n":
                    pass
            elif character == "[":
                section = _read_section(reader)
            elif character.isascii() and character.isalpha() and section:
                key, value = _read_setting(reader, character)
                yield Setting(first, f"{section}.{key}", value)
            else:
                raise _BadLineError
        except _BadLineError:
            yield Setting(first, "", reader.take_line())


def _is_key(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "-")


def _read_section(reader: _Reader) -> str:
    name = ""
    while (character := reader.take()) != "]":
        if character.isspace():
            return f"{name}.{_read_subsection(reader, character)}"
        if not _is_key(character) and character != ".":
            raise _BadLineError
        name += character.lower()
    return name


def _read_subsection(reader: _Reader, character: str) -> str:
    while character.isspace():
        if character == "\n":
            raise _BadLineError
        character = reader.take()
    if character != '"':
        raise _BadLineError
    name = ""
    while (character := reader.take()) != '"':
        if character == "\\":
            character = reader.take()
        if character == "\n":
            raise _BadLineError
        name += character
    if reader.take() != "]":
        raise _BadLineError
    return name


def _read_setting(reader: _Reader, character: str) -> tuple[str, str]:
    key = ""
    while _is_key(character):
        key += character.lower()
        character = reader.take()
    while character in " \t":
        character = reader.take()
    if character == "\n":
        return key, "true"
    if character != "=":
        raise _BadLineError
    return key, _read_value(reader)


def _read_value(reader: _Reader) -> str:
    value, in_quotes = "", False
    while (character := reader.take()) != "\n":
        if character in "#;" and not in_quotes:
            while reader.take() != "\n":
                pass
            break
        if character == "\\":
            character = reader.take()
            value += {"\n": "", "n": "\n", "t": "\t", "b": "\b"}.get(character, character)
        elif character == '"':
            in_quotes = not in_quotes
        else:
            value += character
    return value.strip()


def explain(setting: Setting) -> str | None:
    """What git does by a setting that makes it run or obey something; None for a harmless one."""
    name, value = setting.name, setting.value
    if not name:
        return "is no plain setting, and git may read it as one"
    section, _, key = name.rpartition(".")
    top, has_subsection, _ = section.partition(".")
    kind = f"{top}.*" if has_subsection else top
    if _is_harmless(kind, key, value):
        return None
    for pattern, why in _RUNS:
        if re.fullmatch(pattern, name, re.DOTALL):
            return why if why != "git fetch" else "git runs it to reach a remote"
    if "::" in value:
        return "git runs the program that such an address names"
    return "git obeys it, and it is not known to be harmless"


@functools.cache
def _list_harmless() -> frozenset[str]:
    """The names of the harmless settings, from `_KEYS`."""
    harmless: set[str] = set()
    section = ""
    for word in _KEYS.split():
        if word.endswith(":"):
            section = word[:-1]
        else:
            harmless.add(f"{section}.{word}")
    return frozenset(harmless)


def _is_harmless(kind: str, key: str, value: str) -> bool:
    if "::" in value:
        return False
    if kind in _SECTIONS.split():
        return True
    if (kind, key) == ("core", "fsmonitor"):
        return value.lower() in ("true", "false", "yes", "no", "on", "off", "0", "1", "")
    if f"{kind}.{key}" not in _list_harmless():
        return False
    if key in ("url", "pushurl"):
        return _PLAIN_URL.match(value) is not None
    return not (key == "update" and value.startswith("!"))
