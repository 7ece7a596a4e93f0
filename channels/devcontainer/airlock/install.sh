#!/bin/sh
# Installs the shim into a development container's image; runs as root while the image is built.
# GIT and COMMANDS are the feature's options.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
shim=$here/airlock-shim-linux-$(uname -m)
[ -f "$shim" ] || {
  echo "airlock: the feature has no shim for $(uname -m)" >&2
  echo "airlock: hint: use a container for x86_64 or aarch64" >&2
  exit 1
}
mkdir -p /usr/local/bin /usr/local/share/airlock
cp "$shim" /usr/local/bin/airlock-shim
chmod 755 /usr/local/bin/airlock-shim
# shellcheck disable=SC2086 # several names
[ -z "$COMMANDS" ] || /usr/local/bin/airlock-shim --install /usr/local/bin $COMMANDS
[ "$GIT" != true ] || /usr/local/bin/airlock-shim --install-git

# The feature's entrypoint must return. Without an API granted, the shim only executes the command.
cat >/usr/local/share/airlock/start <<'END'
#!/bin/sh
# [ -w ] is false for root, too, where the mount is read-only.
if [ -w /run/airlock ]; then
  echo "airlock: /run/airlock is writable in this container, which could put something in the socket's place" >&2
  echo "airlock: hint: with dockerComposeFile use airlock agent add NAME --print compose, and not the feature" >&2
fi
/usr/local/bin/airlock-shim --exec sleep infinity </dev/null >/dev/null 2>&1 &
[ $# -eq 0 ] || exec "$@"
END
chmod 755 /usr/local/share/airlock/start

# What tools need to reach the granted APIs, in login shells and in what the editor starts.
mkdir -p /etc/profile.d
cat >/etc/profile.d/airlock.sh <<'END'
eval "$(/usr/local/bin/airlock-shim --exec sh -c 'export -p' 2>/dev/null)"
END
