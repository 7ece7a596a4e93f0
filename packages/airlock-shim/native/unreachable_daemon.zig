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
const start_it = "start it on the host (airlock start)";
const register_it = "see there which agents it serves (airlock agent list)";

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
        .empty => |directory| {
            report(&.{
                .{ .plain = "cannot reach the daemon: there is no socket in " },
                .{ .shown = directory.bytes() },
            });
            diagnostics.advise(.{ .plain = "the daemon is not running, serves another " ++
                "directory, or has no such agent any more: " ++ start_it ++ ", or " ++
                register_it ++ "; this container can stay as it is" });
        },
        .shared => |directory| {
            report(&.{
                .{ .plain = "the sockets of all agents are mounted at " },
                .{ .shown = directory.bytes() },
                .{ .plain = ", so that this container could act as any of them" },
            });
            diagnostics.advise(.{ .plain = "make the container again with the directory of its " ++
                "own agent alone (docker run -v HOST_SOCKETS/AGENT:/run/airlock:ro)" });
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
            diagnostics.advise(.{ .plain = "this container could act as any of these agents: mount " ++
                "only the directory of its own (docker run -v HOST_SOCKETS/AGENT:/run/airlock:ro); " ++
                "if all of them are meant, set AIRLOCK_SOCKET to one" });
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
        .without_relay => |errno| {
            report(&.{
                .{ .plain = "no relay of a box is at the number in AIRLOCK_RELAY: " },
                .{ .plain = error_number.describe(errno) },
            });
            diagnostics.advise(.{ .plain = "the daemon sets it in a box on its host, where " ++
                "programs must inherit that descriptor; anywhere else unset it" });
        },
    }
}

/// Why a socket whose path is known cannot be used.
const Cause = enum {
    /// Not even the directory is there that it should be in.
    unmounted,
    /// The directory is there, and nothing at the socket's name.
    missing,
    /// The socket of a daemon that has ended.
    dead,
    /// The same, or one that a daemon has made anew since, mounted by itself.
    dead_file,
    directory,
    forbidden,
    other,

    fn find(path: *const socket_path.Path, errno: system.Errno) Cause {
        return switch (errno) {
            .NOENT, .NOTDIR => if (system.isDirectory(path.parent().terminated()))
                .missing
            else
                .unmounted,
            .CONNREFUSED => if (system.isDirectory(path.terminated()))
                .directory
            else if (system.mayBeMountPoint(path.terminated()))
                .dead_file
            else
                .dead,
            .ACCES, .PERM => .forbidden,
            else => .other,
        };
    }

    fn hint(cause: Cause) []const u8 {
        return switch (cause) {
            .unmounted => "nothing is mounted there: " ++ mount_hint,
            .missing => "the daemon is not running, its socket is another one, or it has no such " ++
                "agent any more: " ++ start_it ++ ", set AIRLOCK_SOCKET to where the socket is, " ++
                "or " ++ register_it,
            .dead => "the daemon has ended: " ++ start_it ++ "; this container can stay as it is",
            .dead_file => "the daemon has ended, or has made the socket anew since this file was " ++
                "mounted by itself: " ++ start_it ++ " and make the container again, or mount " ++
                "the socket's directory",
            .directory => "an engine makes a directory where a mounted socket is missing; start " ++
                "the daemon first, then make the container again",
            .forbidden => "the user in this container may not connect; see socket_mode in the " ++
                "daemon's config.toml (then: airlock-daemon reload), and the modes of the " ++
                "directories above the socket",
            .other => "is this the socket of an Airlock daemon?",
        };
    }
};

/// What to do about a socket at `path` whose connect(2) failed.
pub fn hintFor(path: *const socket_path.Path, errno: system.Errno) []const u8 {
    return Cause.find(path, errno).hint();
}

fn explainFailure(path: socket_path.Path, errno: system.Errno) void {
    const cause = Cause.find(&path, errno);
    report(&.{
        .{ .plain = "cannot reach the daemon at " },
        .{ .shown = path.bytes() },
        .{ .plain = ": " },
        .{ .plain = if (cause == .directory)
            "it is a directory"
        else
            error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = cause.hint() });
}

test "a stopped daemon is told from a directory that is not mounted" {
    var temporary = std.testing.tmpDir(.{});
    defer temporary.cleanup();
    var buffer: [std.fs.max_path_bytes]u8 = undefined;
    const root = try temporary.dir.realpath(".", &buffer);
    const causes = [_]struct { []const u8, system.Errno, Cause }{
        .{ "/none/a.sock", .NOENT, .unmounted },
        .{ "/a.sock", .NOENT, .missing },
        .{ "/file", .CONNREFUSED, .dead },
        .{ "", .CONNREFUSED, .directory },
        .{ "/file", .ACCES, .forbidden },
        .{ "/file", .PROTOTYPE, .other },
    };
    (try temporary.dir.createFile("file", .{})).close();
    for (causes) |row| {
        const path = socket_path.Path.join(&.{ root, row[0] }) orelse return error.SkipZigTest;
        try std.testing.expectEqual(row[2], Cause.find(&path, row[1]));
    }
}
