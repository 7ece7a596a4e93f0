//! Says why the daemon cannot be reached, and what to do about it.

const std = @import("std");
const system = @import("system.zig");
const error_number = @import("error_number.zig");
const endpoint = @import("endpoint.zig");
const socket_path = @import("socket_path.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

const mount_hint = "mount the agent's socket directory (docker run -v " ++
    "HOST_SOCKETS/AGENT:/run/airlock:ro), or set AIRLOCK_SOCKET to where the socket is";

/// Reports on `outcome`, which is not a connection. `named` is AIRLOCK_SOCKET's value.
pub fn explain(outcome: endpoint.Outcome, named: ?[]const u8, places: endpoint.Places) void {
    switch (outcome) {
        .connected => {},
        .absent => {
            report(&.{
                .{ .plain = "no daemon's socket is here: there is no " },
                .{ .plain = places.file },
                .{ .plain = ", no " },
                .{ .plain = places.directory_file },
                .{ .plain = " and no *.sock in " },
                .{ .plain = places.directory },
            });
            diagnostics.advise(.{ .plain = mount_hint });
        },
        .several => |paths| {
            report(&.{
                .{ .plain = "several sockets are in " },
                .{ .plain = places.directory },
                .{ .plain = ": " },
                .{ .shown = paths[0].bytes() },
                .{ .plain = ", " },
                .{ .shown = paths[1].bytes() },
            });
            diagnostics.advise(.{ .plain = "set AIRLOCK_SOCKET to the one that is meant, or " ++
                "mount only that one" });
        },
        .too_long => {
            report(&.{
                .{ .plain = "the path of the daemon's socket is too long (at most " },
                .{ .plain = std.fmt.comptimePrint("{d}", .{socket_path.limit}) },
                .{ .plain = " bytes): " },
                .{ .shown = named orelse places.directory },
            });
            diagnostics.advise(.{ .plain = "mount the socket at a shorter path, and set " ++
                "AIRLOCK_SOCKET to that" });
        },
        .failed => |failure| explainFailure(failure.path, failure.errno),
    }
}

fn explainFailure(path: socket_path.Path, errno: system.Errno) void {
    const file = system.identify(path.terminated());
    const is_directory = file != null and file.?.isDirectory();
    report(&.{
        .{ .plain = "cannot reach the daemon at " },
        .{ .shown = path.bytes() },
        .{ .plain = ": " },
        .{ .plain = if (is_directory and errno == .CONNREFUSED)
            "it is a directory"
        else
            error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = hintFor(errno, is_directory) });
}

fn hintFor(errno: system.Errno, is_directory: bool) []const u8 {
    return switch (errno) {
        .NOENT, .NOTDIR => "is the daemon running, and is its socket mounted at this path?",
        .CONNREFUSED => if (is_directory)
            "an engine makes a directory where a mounted socket is missing; start the daemon " ++
                "first, then make the container again"
        else
            "is the daemon running? A socket file that was mounted by itself is dead after the " ++
                "daemon restarted: make the container again, or mount the socket's directory",
        .ACCES, .PERM => "the user in this container may not connect; see socket_mode in the " ++
            "daemon's config.toml, and the modes of the directories above the socket",
        else => "is this the socket of an Airlock daemon?",
    };
}

test "each way to fail has advice of its own" {
    const expect = std.testing.expect;
    try expect(std.mem.indexOf(u8, hintFor(.NOENT, false), "mounted") != null);
    try expect(std.mem.indexOf(u8, hintFor(.CONNREFUSED, true), "directory") != null);
    try expect(std.mem.indexOf(u8, hintFor(.CONNREFUSED, false), "restarted") != null);
    try expect(std.mem.indexOf(u8, hintFor(.ACCES, false), "socket_mode") != null);
}
