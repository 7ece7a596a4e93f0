//! Ways out of a container beside Airlock's, as far as they can be seen from inside of it.

const std = @import("std");
const system = @import("system.zig");
const invocation = @import("invocation.zig");
const diagnostics = @import("diagnostics.zig");
const Path = @import("socket_path.zig").Path;
const report = diagnostics.report;
const linux = system.linux;

/// Where the sockets of container engines are.
const engines = [_][]const u8{
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
};

/// What an editor sets, or a person, where an ssh-agent or a git helper is forwarded.
const variables = [_][]const u8{
    "SSH_AUTH_SOCK",
    "VSCODE_GIT_IPC_HANDLE",
    "REMOTE_CONTAINERS_IPC",
};

/// What an editor makes in the directory of temporary files, by the beginnings of their names.
const made = [_][]const u8{ "vscode-ssh-auth", "vscode-git-", "vscode-remote-containers" };

const keep_out = "no rule of Airlock holds for what it signs or tells: have no editor forward it " ++
    "to this container";

/// Reports on every one, and returns whether there is any. `temporary` is where an editor makes
/// its files.
pub fn tell(environment: []const [*:0]const u8, temporary: []const u8) bool {
    var is_any = false;
    for (engines) |engine| {
        const path = Path.join(&.{engine}) orelse continue;
        const file = system.identify(path.terminated()) orelse continue;
        if (!linux.S.ISSOCK(file.mode)) continue;
        report(&.{ .{ .plain = "the socket of a container engine is here: " }, .{ .plain = engine } });
        diagnostics.advise(.{ .plain = "who can use it is root on the host: start the container " ++
            "without that mount" });
        is_any = true;
        break;
    }
    for (variables) |name| {
        const value = invocation.find(environment, name) orelse continue;
        if (value.len == 0) continue;
        report(&.{
            .{ .plain = "an ssh-agent or git helper may be forwarded: " },
            .{ .plain = name },
            .{ .plain = " is " },
            .{ .shown = value },
        });
        diagnostics.advise(.{ .plain = keep_out });
        is_any = true;
    }
    return tellMade(temporary) or is_any;
}

/// Reports on the files of an editor in `directory`.
fn tellMade(directory: []const u8) bool {
    const path = Path.join(&.{directory}) orelse return false;
    const opened = system.open(path.terminated(), .{ .DIRECTORY = true, .CLOEXEC = true });
    if (!opened.ok()) return false;
    const fd = opened.descriptor();
    defer system.close(fd);
    var is_any = false;
    var entries: [4096]u8 align(8) = undefined;
    while (true) {
        const result = system.readDirectory(fd, &entries);
        if (!result.ok() or result.value == 0) return is_any;
        var at: usize = 0;
        while (at < result.value) {
            const entry: *align(1) const linux.dirent64 = @ptrCast(&entries[at]);
            const name = std.mem.span(@as([*:0]const u8, @ptrCast(&entry.name)));
            at += entry.reclen;
            for (made) |beginning| {
                if (!std.mem.startsWith(u8, name, beginning)) continue;
                report(&.{
                    .{ .plain = "an editor forwards something to this container: " },
                    .{ .shown = directory },
                    .{ .plain = "/" },
                    .{ .shown = name },
                });
                diagnostics.advise(.{ .plain = keep_out });
                is_any = true;
            }
        }
    }
}
