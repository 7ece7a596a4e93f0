//! Looks for the only socket in a directory of sockets.

const std = @import("std");
const system = @import("system.zig");
const Path = @import("socket_path.zig").Path;
const linux = system.linux;

pub const Found = union(enum) {
    only: Path,
    none,
    /// Two of them, in the order of their names.
    several: [2]Path,
    /// A name that is too long for a socket's address.
    too_long,
    unreadable: system.Errno,
};

/// The only entry of `directory` that is called `*.sock`, is not hidden, and is no directory.
pub fn search(directory: Path) Found {
    const opened = system.open(directory.terminated(), .{ .DIRECTORY = true, .CLOEXEC = true });
    switch (opened.errno) {
        .SUCCESS => {},
        .NOENT, .NOTDIR => return .none,
        else => |errno| return .{ .unreadable = errno },
    }
    const fd = opened.descriptor();
    defer system.close(fd);

    var first: ?Path = null;
    var second: ?Path = null;
    var entries: [4096]u8 align(8) = undefined;
    while (true) {
        const result = system.readDirectory(fd, &entries);
        if (!result.ok()) return .{ .unreadable = result.errno };
        if (result.value == 0) break;
        var at: usize = 0;
        while (at < result.value) {
            const entry: *align(1) const linux.dirent64 = @ptrCast(&entries[at]);
            const name = std.mem.span(@as([*:0]const u8, @ptrCast(&entry.name)));
            at += entry.reclen;
            if (!isSocketName(name) or entry.type == linux.DT.DIR) continue;
            const path = Path.join(&.{ directory.bytes(), "/", name }) orelse return .too_long;
            if (first == null or isBefore(path, first.?)) {
                second = first;
                first = path;
            } else if (second == null or isBefore(path, second.?)) {
                second = path;
            }
        }
    }
    const only = first orelse return .none;
    return if (second) |other| .{ .several = .{ only, other } } else .{ .only = only };
}

fn isSocketName(name: []const u8) bool {
    return name[0] != '.' and std.mem.endsWith(u8, name, ".sock");
}

fn isBefore(path: Path, other: Path) bool {
    return std.mem.lessThan(u8, path.bytes(), other.bytes());
}

/// A directory made for a test, with its absolute path in `buffer`.
fn pathOf(directory: std.fs.Dir, buffer: []u8) !Path {
    return Path.join(&.{try directory.realpath(".", buffer)}) orelse error.SkipZigTest;
}

test "the only socket is found among directories, hidden files and others" {
    var temporary = std.testing.tmpDir(.{});
    defer temporary.cleanup();
    var buffer: [std.fs.max_path_bytes]u8 = undefined;
    const directory = try pathOf(temporary.dir, &buffer);
    try std.testing.expectEqual(.none, search(directory));
    for ([_][]const u8{ "agent", "agent.lock", ".hidden.sock", "sock", "agent.sock" }) |name| {
        (try temporary.dir.createFile(name, .{})).close();
    }
    try temporary.dir.makeDir("other.sock");
    const only = search(directory).only;
    try std.testing.expect(std.mem.endsWith(u8, only.bytes(), "/agent.sock"));
}

test "two of several are named in order" {
    var temporary = std.testing.tmpDir(.{});
    defer temporary.cleanup();
    var buffer: [std.fs.max_path_bytes]u8 = undefined;
    const directory = try pathOf(temporary.dir, &buffer);
    for ([_][]const u8{ "c.sock", "a.sock", "d.sock", "b.sock" }) |name| {
        (try temporary.dir.createFile(name, .{})).close();
    }
    const several = search(directory).several;
    try std.testing.expect(std.mem.endsWith(u8, several[0].bytes(), "/a.sock"));
    try std.testing.expect(std.mem.endsWith(u8, several[1].bytes(), "/b.sock"));
}

test "a directory that is not there holds none" {
    try std.testing.expectEqual(.none, search(Path.join(&.{"/nonexistent/sockets"}).?));
    try std.testing.expectEqual(.none, search(Path.join(&.{"/dev/null/sockets"}).?));
}
