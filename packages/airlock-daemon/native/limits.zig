//! What a box may use of what the kernel counts for each process or each user (setrlimit(2)).

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;

/// No limit but the one that is inherited.
pub const unlimited = std.math.maxInt(u64);

pub const Limits = extern struct {
    /// Processes and threads of this user in this user namespace, or, without one of its own, on the
    /// whole host. The host's root has no such limit.
    processes: u64 = unlimited,
    /// Bytes of private writable memory of each process.
    data: u64 = unlimited,
    /// Bytes of each file that is written.
    file_size: u64 = unlimited,
    /// Descriptors of each process. Who sends one may have no more than this many of its user's under
    /// way: below that of the daemon, a box cannot take the daemon's.
    open_files: u64 = unlimited,
};

/// Of what only few tools need at all, and what one of them takes others of its user do not have: bytes of
/// locked memory, and signals and timers that wait.
const locked = 8 * 1024 * 1024;
const waiting = 1024;

/// Limit this process and what it starts, soft and hard: without a capability of the host nothing can be
/// raised again. No limit becomes higher than it is. Core dumps are not written, which would leave a
/// tool's memory in the workspace, nor handed to the host's collector of them. Returns the errno of the step
/// that failed, if one did.
pub fn set(limits: Limits) ?linux.E {
    if (lower(.NPROC, limits.processes)) |errno| return errno;
    if (lower(.DATA, limits.data)) |errno| return errno;
    if (lower(.FSIZE, limits.file_size)) |errno| return errno;
    if (lower(.NOFILE, limits.open_files)) |errno| return errno;
    if (lower(.MEMLOCK, locked)) |errno| return errno;
    if (lower(.SIGPENDING, waiting)) |errno| return errno;
    // Nothing comes before the other processes of the host, whatever its user may.
    if (lower(.RTPRIO, 0)) |errno| return errno;
    if (lower(.NICE, 0)) |errno| return errno;
    return stopDumps();
}

/// A collector (core(5) with `|`) gets cores whatever the limit is, but for that of 1 byte, which the
/// kernel takes for a collector that crashed itself (fs/coredump.c). It is too small for a core in a file.
fn stopDumps() ?linux.E {
    var limit: linux.rlimit = undefined;
    if (failed(linux.getrlimit(.CORE, &limit))) |errno| return errno;
    limit.max = @min(limit.max, 1);
    limit.cur = limit.max;
    return failed(linux.setrlimit(.CORE, &limit));
}

fn lower(resource: linux.rlimit_resource, value: u64) ?linux.E {
    if (value == unlimited) return null;
    var limit: linux.rlimit = undefined;
    if (failed(linux.getrlimit(resource, &limit))) |errno| return errno;
    limit.max = @min(limit.max, value);
    limit.cur = @min(limit.cur, value);
    return failed(linux.setrlimit(resource, &limit));
}
