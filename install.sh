#!/bin/sh
# Installs Airlock's daemon and shim for the user who runs it; --help says how. It needs no root.
# All is in functions, which the last line calls in braces: of a cut download nothing runs.

usage() {
  cat <<'END'
Usage: sh install.sh [--from DIR | --version X] [OPTIONS]
       sh install.sh --uninstall

Installs airlock-daemon and airlock-shim for the user who runs it, with links in ~/.local/bin, and
then runs `airlock-daemon init`, which makes a service and the first files. Run it again to upgrade.

  --from DIR         install from a checkout, or from a directory of wheels (such as dist/ of
                     `./dev build`); the package index is asked only for what is missing there
  --version X        install this version from the package index, and not the newest one
  --with TOOL        uv, pipx or venv (pip); else what an earlier run used, or the first that is there
  --no-init          do not run `airlock-daemon init`                  (AIRLOCK_NO_INIT=1)
  --no-modify-path   change no start file of the shell                 (AIRLOCK_NO_MODIFY_PATH=1)
  --uninstall        remove the service and what was installed; configuration, agents and log stay

The package index is that of uv or pip, by their own settings (UV_DEFAULT_INDEX, PIP_INDEX_URL).
END
}

say() { printf 'airlock: %s\n' "$*"; }

die() {
  printf 'airlock: %s\nairlock: hint: %s\n' "$1" "$2" >&2 && exit 1
}

airlock_install() {
  [ -z "${ZSH_VERSION:-}" ] || emulate sh # zsh reads this as sh would
  set -eu
  from='' version='' tool='' uninstalling=''
  no_init=${AIRLOCK_NO_INIT:-} no_modify_path=${AIRLOCK_NO_MODIFY_PATH:-}
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --version | --with) [ -n "${2:-}" ] || die "$1 needs a value" "sh install.sh --help" ;;
    esac
    case $1 in
      --from) from=$2 && shift ;;
      --version) version=$2 && shift ;;
      --with) tool=$2 && shift ;;
      --no-init) no_init=1 ;;
      --no-modify-path) no_modify_path=1 ;;
      --uninstall) uninstalling=1 ;;
      -h | --help) usage && return ;;
      *) die "$1 is no option of this program" "sh install.sh --help" ;;
    esac
    shift
  done
  [ -z "$from" ] || [ -z "$version" ] || die "--from and --version contradict" "leave one of them out"
  check_host
  bin=$HOME/.local/bin data=$HOME/.local/share/airlock mark='# made by install.sh of Airlock'
  find_installed
  if [ -n "$uninstalling" ]; then uninstall && return; fi
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 130' HUP INT TERM
  mkdir "$scratch/wheels" "$scratch/built"
  export UV_PYTHON_DOWNLOADS=never PIP_RETRIES="${PIP_RETRIES:-2}"
  choose_tool
  requirement="airlock-daemon[run]${version:+==$version}"
  [ -z "$from" ] || gather_wheels
  say "installing with $tool and $python"
  install_packages
  say "installed $("$bin/airlock-daemon" version) in $environment, with links in $bin"
  offer_path
  [ "$system" = Darwin ] || command -v bwrap >/dev/null || say "bubblewrap, by which tools get a box on this host, is missing:" \
    "sudo apt-get install bubblewrap, or dnf install bubblewrap"
  [ -n "$no_init" ] || "$bin/airlock-daemon" init </dev/null || no_init=failed
  replace_old
  [ "$no_init" != failed ] ||
    die "it is installed, but init failed, see above" "mend that, then: $bin/airlock-daemon init"
}

check_host() {
  system=$(uname -s) machine=$(uname -m)
  get_python='sudo apt install python3 python3-venv (from Debian 12, Ubuntu 24.04 on)'
  case $system-$machine in
    Linux-x86_64 | Linux-aarch64) ;;
    Darwin-*) get_python='brew install python@3.13' ;;
    *) die "Airlock runs on macOS, and on Linux on x86-64 or arm64; this is $system on $machine" \
      "install it on the host where the credentials are" ;;
  esac
  [ -d "${HOME:-}" ] || die "HOME is no directory" "set it to that of the user to install for"
  [ -n "$(find "$HOME" -prune -user "$(id -u)")" ] || die "$HOME belongs to another user" \
    "run this as the user whose credentials the daemon is to use, without sudo"
}

# Sets installed_with, "" for nothing, and environment to the directory of what is installed.
find_installed() {
  environment=nowhere installed_with=''
  [ ! -e "$bin/airlock-daemon" ] || environment=$(readlink "$bin/airlock-daemon") || environment=nowhere
  environment=${environment%/bin/airlock-daemon}
  [ ! -f "$environment/uv-receipt.toml" ] || installed_with=uv
  [ ! -f "$environment/pipx_metadata.json" ] || installed_with=pipx
  case $environment in "$data"/venv*) installed_with=venv ;; esac
  [ -n "$installed_with" ] || environment=nowhere
  for name in airlock-daemon airlock airlock-shim; do
    # What is not ours is not removed either.
    [ -z "$uninstalling" ] || [ -z "$installed_with" ] || break
    [ ! -e "$bin/$name" ] || [ "$(readlink "$bin/$name")" = "$environment/bin/$name" ] ||
      die "$bin/$name is there already, and neither uv, pipx nor this program has made it" \
        "remove it, by what has installed it or by rm, and run this again"
  done
}

# Sets tool, and python to one that is new enough.
choose_tool() {
  wanted=$tool
  case $wanted in '' | uv | pipx | venv) ;; *) die "--with takes uv, pipx or venv" "leave it out" ;; esac
  for tool in "$wanted" "$installed_with" uv pipx venv; do
    [ "$tool" != venv ] || break
    [ -z "$tool" ] || ! command -v "$tool" >/dev/null || break
  done
  [ "$tool" = "${wanted:-$tool}" ] || die "there is no $wanted on PATH" "leave --with out"
  probe='import sys, importlib.util as u
sys.exit(4 if sys.version_info < (3, 11) else 0 if u.find_spec("ensurepip") else 3)'
  python='' without_venv='' too_old=''
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    found=$(command -v "$name") || continue
    fit=0
    "$found" -c "$probe" </dev/null >/dev/null 2>&1 || fit=$?
    case $fit in
      0) python=$found && break ;;
      3) without_venv=${without_venv:-$found} ;;
      4) too_old=${too_old:-$("$found" --version 2>&1)} ;;
    esac
  done
  if [ "$tool" = uv ] && [ -z "$python" ]; then
    # uv needs no venv module, and may have a Python of its own.
    python=${without_venv:-$(uv python find '>=3.11' 2>/dev/null)} || python=''
  fi
  [ -n "$python" ] || [ -z "$without_venv" ] ||
    die "$without_venv cannot make virtual environments: its modules venv and ensurepip are missing" \
      "on Debian and Ubuntu: sudo apt install python3-venv; or install uv"
  [ -n "$python" ] || die "Python 3.11 or newer is needed, and here is ${too_old:-none}" \
    "$get_python; or uv: uv python install"
}

# Runs a command, and keeps what it says. $1: what it does.
quietly() {
  doing=$1
  shift
  "$@" </dev/null >"$scratch/log" 2>&1
}

# Ends with what the last one said, and with what to do.
give_up() {
  sed 's/^/  /' "$scratch/log" >&2
  lost='name resolution|dns error|new connection|connection refused|unreachable|sending request|timed out'
  ! grep -Eqi "$lost|versions: none|not found in the package registry" "$scratch/log" ||
    die "$doing failed: the package index cannot be reached, or does not have it" \
      "see to the network and its proxy, or name a directory that has all wheels: --from DIR"
  die "$doing failed, see above" "mend that, and run this again; what was installed is as it was"
}

# Copies the wheels of --from, and demands their versions.
gather_wheels() {
  [ -d "$from" ] || die "$from is no directory" "name a checkout, or a directory of wheels"
  wheels=$(CDPATH='' cd -- "$from" && pwd)
  if [ -f "$wheels/packages/airlock-daemon/pyproject.toml" ]; then
    say "building the packages of $wheels, which takes a minute the first time"
    if [ "$tool" = uv ]; then
      set -- uv build --wheel --python "$python" --out-dir "$scratch/built"
    else
      quietly "making an environment" "$python" -m venv "$scratch/build" || give_up
      # One for all of them, since the compiler is large.
      needs=$(sed -n 's/^requires = \[\(.*\)\]$/\1/p' "$wheels"/packages/*/pyproject.toml | tr -d '",')
      # shellcheck disable=SC2086 # several words
      quietly "installing the compiler" "$scratch/build/bin/pip" install --no-compile $needs || give_up
      set -- "$scratch/build/bin/pip" wheel --no-deps --no-build-isolation --wheel-dir "$scratch/built"
    fi
    for package in protocol modules daemon shim; do
      quietly "building airlock-$package" "$@" "$wheels/packages/airlock-$package" || give_up
    done
    wheels=$scratch/built
  fi
  for package in wire modules daemon shim; do
    # One for any machine has no native program, where there is another one.
    set -- "$wheels/airlock_$package"-*_"$machine".whl
    [ -e "$1" ] || set -- "$wheels/airlock_$package"-*-none-any.whl
    [ -e "$1" ] || die "$from is no checkout, and has no wheel of airlock-$package for $machine" \
      "name a checkout, or a directory with the wheels of all four packages"
    [ $# -eq 1 ] || die "$from has several wheels of airlock-$package" "leave one of them there"
    cp "$1" "$scratch/wheels/"
    number=${1##*/airlock_"$package"-}
    number=${number%%-*}
    printf 'airlock-%s==%s\n' "$package" "$number" >>"$scratch/constraints"
    [ "$package" != daemon ] || requirement="airlock-daemon[run]==$number"
  done
  # pipx wants a pip, and Python brings one along.
  bundled='import ensurepip, sysconfig
print(sysconfig.get_config_var("WHEEL_PKG_DIR") or ensurepip.__path__[0] + "/_bundled")'
  pips=$("$python" -c "$bundled" 2>/dev/null) || pips=''
  for file in "$wheels"/*.whl "$wheels"/image/wheels/*.whl "$pips"/pip-*.whl; do
    case ${file##*/} in
      airlock_* | '*.whl' | 'pip-*.whl') ;;
      *) cp "$file" "$scratch/wheels/" ;;
    esac
  done
}

# Installs the requirement and makes the links.
install_packages() {
  (umask 077 && mkdir -p "$bin" "$data")
  old=$environment
  if [ "$tool" = venv ]; then
    # Beside what is there, which stays as it is until this one is complete.
    environment=$(mktemp -d "$data/venv.XXXXXX")
    trap 'rm -rf "$scratch" "$environment"' EXIT
    quietly "making an environment" "$python" -m venv "$environment" || give_up
  fi
  # Where all wheels are there no index is asked.
  [ -n "$from" ] && ask_tool offline || ask_tool '' || give_up
  if [ "$tool" = venv ]; then
    trap 'rm -rf "$scratch"' EXIT
    for name in airlock-daemon airlock; do ln -sf "$environment/bin/$name" "$bin/$name"; done
  fi
  environment=$(readlink "$bin/airlock-daemon") && environment=${environment%/bin/airlock-daemon}
  # Containers alone run it; where they are in a virtual machine, this system has none.
  [ ! -e "$environment/bin/airlock-shim" ] || ln -sf "$environment/bin/airlock-shim" "$bin/airlock-shim"
}

# Has the service run what is installed now, and removes the environment of before.
replace_old() {
  [ -n "$installed_with" ] || return 0
  if is_used; then
    restart_service 2>/dev/null ||
      say "the daemon that runs is still the one of before: end it, and start it again"
  fi
  [ "$old" != "$environment" ] || return 0
  if is_used; then say "$old stays, since that daemon needs it; then: rm -r $old" && return; fi
  rm -rf "$old"
  [ "$installed_with" = "$tool" ] || say "removed $old, which was installed with $installed_with"
}

# Restarts the service, unless it does not run.
restart_service() {
  if [ "$system" = Darwin ]; then
    service=gui/$(id -u)/airlock.daemon
    launchctl print "$service" | grep -q 'state = running' && launchctl kickstart -k "$service"
    return
  fi
  export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
  systemctl --user --quiet is-active airlock && systemctl --user restart airlock
}

# Whether a process runs from the environment of before.
is_used() { find_running && [ -n "$running" ]; }

# Sets running to the numbers of these processes; the pattern does not fit its own words.
find_running() {
  if [ "$system" = Darwin ]; then
    running=$(ps -ww -U "$(id -u)" -o pid= -o command= |
      sed -n "s,^ *\([0-9]*\) .*${old}[/]bin.*,\1,p" | tr '\n' ' ')
  else
    running=$(grep -ls "${old}[/]bin" /proc/[0-9]*/cmdline | sed 's,^/proc/,,; s,/.*,,' | tr '\n' ' ')
  fi
  running=${running% }
}

# $1: "offline" to ask no index.
ask_tool() {
  offline=$1
  set -- "$requirement"
  if [ "$tool" = uv ]; then
    [ -z "$from" ] || set -- "$@" --find-links "$scratch/wheels" --constraints "$scratch/constraints"
    [ -z "$offline" ] || set -- "$@" --no-index
    UV_TOOL_BIN_DIR=$bin quietly "installing $requirement" \
      uv tool install --force --reinstall --python "$python" "$@"
    return
  fi
  [ -z "$from" ] || export PIP_FIND_LINKS="$scratch/wheels" PIP_CONSTRAINT="$scratch/constraints"
  if [ -n "$offline" ]; then export PIP_NO_INDEX=1; else unset PIP_NO_INDEX; fi
  if [ "$tool" = pipx ]; then
    PIPX_BIN_DIR=$bin quietly "installing $requirement" pipx install --force --python "$python" "$@"
  else
    quietly "installing $requirement" "$environment/bin/pip" --disable-pip-version-check install "$@"
  fi
}

offer_path() {
  case :$PATH: in *":$bin:"*) return ;; esac
  # shellcheck disable=SC2016 # it is the shell that expands it, when it starts
  line='export PATH="$HOME/.local/bin:$PATH"'
  case ${SHELL:-} in
    */bash) start_file=$HOME/.bashrc ;;
    */zsh) start_file=${ZDOTDIR:-$HOME}/.zshrc ;;
    */fish | */*csh | */nu | */xonsh) no_modify_path=1 ;; # they have languages of their own
    *) start_file=$HOME/.profile ;;
  esac
  if [ -n "$no_modify_path" ]; then
    say "$bin is not on your PATH: add it in your shell's start file"
  elif grep -qF "$mark" "$start_file" 2>/dev/null; then
    say "new shells have $bin on PATH; in this one: $line"
  # A last line without an end gets one.
  elif { [ -z "$(tail -c 1 "$start_file" 2>/dev/null)" ] || echo >>"$start_file"; } &&
    printf '%s %s\n' "$line" "$mark" >>"$start_file"; then
    say "$bin is not on your PATH: added a line to $start_file; in this shell: $line"
  else
    say "$bin is not on your PATH, and $start_file cannot be written: add to it: $line"
  fi
}

uninstall() {
  if [ -n "$installed_with" ]; then
    [ -n "$no_init" ] || "$bin/airlock-daemon" init --uninstall </dev/null ||
      die "the service could not be removed, and nothing else was" \
        "mend what is said above, or leave the service as it is: --no-init"
    old=$environment
    find_running
    [ -z "$running" ] ||
      die "$environment is still in use by process $running, such as a daemon that was started by hand" \
        "end it, and run this again: kill $running"
    for name in airlock-daemon airlock airlock-shim; do
      [ "$(readlink "$bin/$name")" != "$environment/bin/$name" ] || rm -f "$bin/$name"
    done
    rm -rf "$environment" "$data"/venv*
    say "removed $environment and its links in $bin; what is in $HOME/.config/airlock, \
$HOME/.local/state/airlock and $data stays"
  else
    say "nothing is installed in $bin"
  fi
  for start_file in "$HOME/.bashrc" "${ZDOTDIR:-$HOME}/.zshrc" "$HOME/.profile"; do
    if grep -qF "$mark" "$start_file" 2>/dev/null; then
      # The same file: it may be a link.
      rest=$(grep -vF "$mark" "$start_file"; echo .) && printf '%s' "${rest%.}" >"$start_file"
      say "took the line for PATH out of $start_file"
    fi
  done
}

{ airlock_install "$@"; exit; }
