//! What the shim says of itself when it is called by its own name.

const version = @import("version.zig");

pub const version_line = "airlock-shim " ++ version.text ++ "\n";

pub const text = "airlock-shim " ++ version.text ++
    \\ - runs a command where its credentials are
    \\
    \\Stands in a container under the name of a tool. Called by that name, it asks the
    \\Airlock daemon outside of the container to run the tool, and passes on what it
    \\reads and writes, signals, and its exit status. No credential enters the container.
    \\
    \\Usage:
    \\  airlock-shim --install DIR NAME...   make DIR/NAME a link to this file, for each name
    \\  airlock-shim --install-git           have the image's own git reach its remotes through
    \\                                       Airlock, over ssh (by git's system configuration)
    \\                                       and over https (by links in git's exec path);
    \\                                       git-lfs too, and what signs by ssh keys, by the
    \\                                       same configuration
    \\  airlock-shim --uninstall-git         undo that
    \\  airlock-shim --exec COMMAND...       execute COMMAND, as the entrypoint of a container whose
    \\                                       agent has APIs: tools reach them at 127.0.0.1:13128
    \\                                       ($AIRLOCK_PROXY_PORT) as long as COMMAND runs, and
    \\                                       ports of docker containers at theirs
    \\  airlock-shim --doors                 say which other ways lead out of this container:
    \\                                       a container engine's socket, a forwarded
    \\                                       ssh-agent or git helper; exit 1 if one does
    \\  airlock-shim --bridge DIR            carry connections to an agent's sockets in DIR over
    \\                                       stdin and stdout, for a daemon whose containers
    \\                                       run in another system; the daemon starts it
    \\  airlock-shim --version               print the version
    \\  airlock-shim --help                  print this text
    \\
    \\Example, in a Dockerfile:
    \\  COPY airlock-shim /usr/local/bin/
    \\  RUN ["/usr/local/bin/airlock-shim", "--install", "/usr/local/bin", "git", "aws"]
    \\In an image that has git:
    \\  RUN ["/usr/local/bin/airlock-shim", "--install-git"]
    \\
    \\The daemon's socket is the first of these that is there:
    \\  $AIRLOCK_SOCKET                      when it is set and not empty, no other is tried
    \\  /run/docker-airlock.sock
    \\  /run/airlock/airlock.sock
    \\  /run/airlock/sockets/*.sock          when there is exactly one
    \\
    \\Signals go to the command; a second Ctrl-C ends the shim, and the command with it.
    \\The whole environment is sent; the daemon uses what the command's module forwards.
    \\
    \\Exit status: that of the command, 128+n if signal n ended it, and
    \\  125  the daemon cannot be reached, was lost, or failed to start the command
    \\  126  the daemon refused the command
    \\  127  the daemon knows no such command
    \\  2    wrong usage of airlock-shim itself
    \\What comes from Airlock and not from the command begins with "airlock: ".
    \\
;
