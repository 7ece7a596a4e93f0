"""Images with a git of their own, in the layouts that there are, for Dockerfiles."""

# git with what it links to, and the programs of its exec path at $EXEC.
_GIT = """
FROM {debian} AS debian
RUN mkdir -p /image/tmp /image/usr/share/git-core/templates $(dirname /image/$EXEC) \
 && for file in $(ldd /usr/bin/git /usr/lib/git-core/git-remote-http | grep -o '/[^ :]*'); do \
        cp --parents --dereference $file /image; \
    done \
 && cp -a /usr/lib/git-core /image/$EXEC
"""
_LIBEXEC = "/usr/libexec/git-core"
_LOCAL = "/usr/local/libexec/git-core"
LAYOUTS = {
    # /usr/lib/git-core, in which git-remote-https is a link to git-remote-http.
    "debian": "FROM {debian}",
    # The layout of Alpine and Fedora.
    "libexec": _GIT.replace("$EXEC", _LIBEXEC)
    + "FROM {busybox}\nCOPY --from=debian /image /\n"
    + f"ENV GIT_EXEC_PATH={_LIBEXEC} PATH=/bin:/usr/bin\n",
    # That of git's own Makefile, in which both names are one file. There is no shell in it.
    "local": _GIT.replace("$EXEC", _LOCAL)
    + f"RUN cd /image{_LOCAL} && ln -f git-remote-http git-remote-https\n"
    + "FROM scratch\nCOPY --from=debian /image /\n"
    + f"ENV GIT_EXEC_PATH={_LOCAL} PATH=/usr/bin\n",
}
"""Recipes by name, with {debian} and {busybox} for the images that they begin with."""
