//! Finds the daemon's socket and connects to it.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const socket_directory = @import("socket_directory.zig");
const Path = @import("socket_path.zig").Path;

/// Where a socket is looked for when AIRLOCK_SOCKET does not name one, in this order.
pub const Places = struct {
    /// A socket file mounted by itself.
    file: []const u8 = "/run/docker-airlock.sock",
    /// One in a mounted directory, which is still the right one when the daemon makes it anew.
    directory_file: []const u8 = "/run/airlock/airlock.sock",
    /// A directory with the sockets of agents, of which only one may be there.
    directory: []const u8 = "/run/airlock/sockets",
    /// Where the directory of `directory_file` is mounted.
    mounted: []const u8 = "/run/airlock",
};

pub const Outcome = union(enum) {
    connected: struct { fd: i32, path: Path },
    /// There is none in any of the places, and no directory that one could come to be in.
    absent,
    /// This directory is there, and the daemon has no socket in it.
    empty: Path,
    /// The sockets of all agents are in this directory, which should have that of one agent.
    shared: Path,
    /// More than one stand in the directory; the first two.
    several: [2]Path,
    /// The path is longer than a socket's may be.
    too_long,
    /// The socket (or the directory of sockets) is there or was named, and cannot be used.
    failed: struct { path: Path, errno: system.Errno },
    /// What was named is no relay of a box (box_relay.zig).
    without_relay: system.Errno,
};

/// Connects to the socket that `named` (AIRLOCK_SOCKET; empty counts as absent) says, else to
/// the first of `places` where something stands. One that stands there and cannot be used is not
/// passed over: it is the one that was set up.
pub fn connect(named: ?[]const u8, places: Places) Outcome {
    if (named) |name| if (name.len > 0) return connectTo(Path.join(&.{name}));
    for ([_][]const u8{ places.file, places.directory_file }) |place| {
        const outcome = connectTo(Path.join(&.{place}));
        const is_absent = switch (outcome) {
            .failed => |failure| failure.errno == .NOENT or failure.errno == .NOTDIR,
            else => false,
        };
        if (!is_absent) return outcome;
    }
    const directory = Path.join(&.{places.directory}) orelse return .too_long;
    return switch (socket_directory.search(directory)) {
        .only => |path| connectTo(path),
        .none => withoutSocket(places),
        .several => |paths| .{ .several = paths },
        .too_long => .too_long,
        .unreadable => |errno| .{ .failed = .{ .path = directory, .errno = errno } },
    };
}

/// What it means that no place has a socket: the daemon makes its own where a directory is mounted.
fn withoutSocket(places: Places) Outcome {
    const mounted = Path.join(&.{places.mounted}) orelse return .too_long;
    // The daemon has NAME.sock beside the directory of each agent, which has airlock.sock.
    switch (socket_directory.search(mounted)) {
        .only, .several => return .{ .shared = mounted },
        else => {},
    }
    for ([_][]const u8{ places.directory, places.mounted }) |place| {
        const directory = Path.join(&.{place}) orelse return .too_long;
        if (system.isDirectory(directory.terminated())) return .{ .empty = directory };
    }
    return .absent;
}

/// The directory in which the daemon has, or had, the agent's HTTPS socket and what belongs to it, or
/// its socket for docker, as an absolute path. It is beside the socket that is named, or in the mounted directory; where the
/// sockets of agents are, it has the name of the only one. Null where the agent has neither.
pub fn findApis(named: ?[]const u8, places: Places) ?Path {
    if (named) |name| if (name.len > 0) return findApisBeside(absolute(name) orelse return null);
    if (findApisIn(Path.join(&.{places.mounted}))) |directory| return directory;
    return switch (socket_directory.search(Path.join(&.{places.directory}) orelse return null)) {
        .only => |path| findApisBeside(path),
        else => null,
    };
}

/// Why nothing tells which agent's APIs a container has: it has the sockets of several. Null where it
/// has those of one, or none.
pub fn findSeveral(named: ?[]const u8, places: Places) ?Outcome {
    if (named) |name| if (name.len > 0) return null;
    for ([_][]const u8{ places.file, places.directory_file }) |place| {
        if (system.isThere((Path.join(&.{place}) orelse continue).terminated())) return null;
    }
    switch (socket_directory.search(Path.join(&.{places.directory}) orelse return null)) {
        .several => |paths| return .{ .several = paths },
        .only => return null,
        else => {},
    }
    const outcome = withoutSocket(places);
    return if (outcome == .shared) outcome else null;
}

fn findApisBeside(socket: Path) ?Path {
    if (findApisIn(socket.parent())) |directory| return directory;
    const suffix = ".sock";
    if (!std.mem.endsWith(u8, socket.bytes(), suffix)) return null;
    return findApisIn(Path.join(&.{socket.bytes()[0 .. socket.length - suffix.len]}));
}

fn findApisIn(joined: ?Path) ?Path {
    const directory = joined orelse return null;
    for ([_][]const u8{ "/https.sock", "/client.env", "/docker.sock" }) |name| {
        const path = Path.join(&.{ directory.bytes(), name }) orelse continue;
        if (system.isThere(path.terminated())) return directory;
    }
    return null;
}

/// A path from the root, whatever the working directory will be.
fn absolute(name: []const u8) ?Path {
    if (name[0] == '/') return Path.join(&.{name});
    var buffer: [std.fs.max_path_bytes]u8 = undefined;
    return Path.join(&.{ system.workingDirectory(&buffer) orelse return null, "/", name });
}

fn connectTo(joined: ?Path) Outcome {
    const path = joined orelse return .too_long;
    const socket = socket_module.create();
    if (!socket.ok()) return .{ .failed = .{ .path = path, .errno = socket.errno } };
    const address = path.address();
    const connected = socket_module.connect(socket.descriptor(), &address);
    if (connected.ok()) return .{ .connected = .{ .fd = socket.descriptor(), .path = path } };
    system.close(socket.descriptor());
    return .{ .failed = .{ .path = path, .errno = connected.errno } };
}

/// Places under a directory of a test's own, and a listener at any of them.
const Playground = struct {
    temporary: std.testing.TmpDir,
    root: [std.fs.max_path_bytes]u8 = undefined,
    root_length: usize = 0,
    paths: [5]Path = undefined,

    fn init(playground: *Playground) !Places {
        playground.temporary = std.testing.tmpDir(.{});
        const root = try playground.temporary.dir.realpath(".", &playground.root);
        const names = [_][]const u8{
            "/f.sock",
            "/mounted/airlock.sock",
            "/sockets",
            "/mounted",
            "/mounted/agent.sock",
        };
        for (names, &playground.paths) |name, *path| {
            path.* = Path.join(&.{ root, name }) orelse return error.SkipZigTest;
        }
        return .{
            .file = playground.paths[0].bytes(),
            .directory_file = playground.paths[1].bytes(),
            .directory = playground.paths[2].bytes(),
            .mounted = playground.paths[3].bytes(),
        };
    }

    fn deinit(playground: *Playground) void {
        playground.temporary.cleanup();
    }
};

fn listenAt(path: []const u8) !std.net.Server {
    const address = try std.net.Address.initUnix(path);
    return address.listen(.{});
}

fn expectConnected(expected: []const u8, outcome: Outcome) !void {
    const connection = switch (outcome) {
        .connected => |connection| connection,
        else => return error.NotConnected,
    };
    system.close(connection.fd);
    try std.testing.expectEqualStrings(expected, connection.path.bytes());
}

test "the places are tried in order, and a named socket beats them all" {
    var playground: Playground = .{ .temporary = undefined };
    const places = try playground.init();
    defer playground.deinit();
    try std.testing.expectEqual(.absent, connect(null, places));
    try std.testing.expectEqual(.absent, connect("", places));

    try playground.temporary.dir.makeDir("mounted");
    try std.testing.expectEqualStrings(places.mounted, connect(null, places).empty.bytes());
    var other = try listenAt(playground.paths[4].bytes());
    try std.testing.expectEqualStrings(places.mounted, connect(null, places).shared.bytes());
    other.deinit();
    try playground.temporary.dir.deleteFile("mounted/agent.sock");
    try playground.temporary.dir.makeDir("sockets");
    try std.testing.expectEqualStrings(places.directory, connect("", places).empty.bytes());
    const only = Path.join(&.{ places.directory, "/agent.sock" }) orelse return error.SkipZigTest;
    var third = try listenAt(only.bytes());
    defer third.deinit();
    try expectConnected(only.bytes(), connect(null, places));

    var second = try listenAt(places.directory_file);
    defer second.deinit();
    try expectConnected(places.directory_file, connect(null, places));

    var first = try listenAt(places.file);
    defer first.deinit();
    try expectConnected(places.file, connect(null, places));
    try expectConnected(only.bytes(), connect(only.bytes(), places));
}

test "a socket without a listener is not passed over" {
    var playground: Playground = .{ .temporary = undefined };
    const places = try playground.init();
    defer playground.deinit();
    try playground.temporary.dir.makeDir("mounted");
    var stale = try listenAt(places.file);
    stale.deinit();
    var second = try listenAt(places.directory_file);
    defer second.deinit();
    const failure = connect(null, places).failed;
    try std.testing.expectEqual(.CONNREFUSED, failure.errno);
    try std.testing.expectEqualStrings(places.file, failure.path.bytes());
}

test "several sockets, a named one that is absent, and a path that is too long are told apart" {
    var playground: Playground = .{ .temporary = undefined };
    const places = try playground.init();
    defer playground.deinit();
    try playground.temporary.dir.makeDir("sockets");
    for ([_][]const u8{ "sockets/a.sock", "sockets/b.sock" }) |name| {
        (try playground.temporary.dir.createFile(name, .{})).close();
    }
    try std.testing.expect(connect(null, places) == .several);
    try std.testing.expectEqual(.NOENT, connect("/nonexistent.sock", places).failed.errno);
    try std.testing.expectEqual(.too_long, connect("/" ++ "x" ** 107, places));
}
