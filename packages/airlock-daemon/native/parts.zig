//! What a box has of some directories of the host of which bubblewrap has mounted all, at a place that only this
//! process sees: some devices, and parts of /etc. For each mount that it makes bubblewrap reads the list of
//! all mounts there are, this process does not.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;
const mounts = @import("mounts.zig");

/// Where they are mounted.
const whole = "/dev/.host";

/// Whether `path` is in one of them.
pub fn holds(path: [*:0]const u8) bool {
    return std.mem.startsWith(u8, std.mem.span(path), whole ++ "/");
}

/// Take from them what `pairs` say, and then all of them away, for good: of a pair `d` a /dev in a directory in
/// memory that is there, of one whose first path `holds` says is in them a mount at the other, whose directory is
/// there.
pub fn take(pairs: []const [*:0]const u8) ?linux.E {
    var has_any = false;
    var index: usize = 0;
    while (index < pairs.len) : (index += 2) {
        if (pairs[index][0] == 'd') {
            if (makeDevices()) |errno| return errno;
        } else if (holds(pairs[index])) {
            if (mounts.copy(pairs[index], pairs[index + 1])) |errno| return errno;
        } else continue;
        has_any = true;
    }
    if (!has_any) return null;
    if (failed(linux.umount2(whole, linux.MNT.DETACH))) |errno| return errno;
    return failed(linux.rmdir(whole));
}

/// What null(4), full(4), random(4), tty(4), fd(4) and pts(4) describe.
fn makeDevices() ?linux.E {
    inline for (devices) |name| {
        const path = "/dev/" ++ name;
        if (mounts.copy(whole ++ path, path)) |errno| return errno;
    }
    for (links) |link| {
        if (failed(linux.symlink(link[1], link[0]))) |errno| return errno;
    }
    if (failed(linux.mkdir(terminals, 0o755))) |errno| return errno;
    const flags = linux.MS.NOSUID | linux.MS.NOEXEC;
    return mounts.mount("devpts", terminals, "devpts", flags, "newinstance,ptmxmode=0666,mode=620");
}

const devices = [_][]const u8{ "null", "zero", "full", "random", "urandom", "tty" };
const terminals = "/dev/pts";
const links = [_][2][*:0]const u8{
    .{ "/dev/fd", "/proc/self/fd" },
    .{ "/dev/stdin", "/proc/self/fd/0" },
    .{ "/dev/stdout", "/proc/self/fd/1" },
    .{ "/dev/stderr", "/proc/self/fd/2" },
    .{ "/dev/core", "/proc/kcore" },
    .{ "/dev/ptmx", "pts/ptmx" },
};
