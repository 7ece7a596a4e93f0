//! What may be the name of a command, and which names are the shim's own.

const std = @import("std");

/// The name that the shim calls itself, and begins its released files' names with.
pub const own = "airlock-shim";

/// The name that the image's git calls the shim by, as its ssh.
pub const git_ssh = "git-ssh";

const length_limit = 64;

/// The last component of the path that the shim was called by.
pub fn fromPath(path: []const u8) []const u8 {
    return path[if (std.mem.lastIndexOfScalar(u8, path, '/')) |slash| slash + 1 else 0..];
}

/// Whether `name` calls the shim itself: `airlock-shim`, `airlock-shim-linux-x86_64`.
pub fn isOwn(name: []const u8) bool {
    return std.mem.startsWith(u8, name, own);
}

/// Whether the daemon could know a command of this name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
pub fn isValid(name: []const u8) bool {
    if (name.len == 0 or name.len > length_limit) return false;
    if (!std.ascii.isAlphanumeric(name[0])) return false;
    for (name[1..]) |character| switch (character) {
        'A'...'Z', 'a'...'z', '0'...'9', '.', '_', '-' => {},
        else => return false,
    };
    return true;
}

/// What the daemon is asked for: a command, and an argument that comes before all others.
pub const Meaning = struct { command: []const u8, first: ?[:0]const u8 = null };

/// What calling the shim by `name` means: the command of that name, but where the name is that of
/// one of git's transports.
pub fn meaningOf(name: []const u8) Meaning {
    if (std.mem.eql(u8, name, git_ssh)) return .{ .command = "git-remote", .first = "ssh" };
    return .{ .command = name };
}

test "names are those that a module may have" {
    for ([_][]const u8{ "git", "7z", "docker-compose", "python3.11", "a_b", "x" ** 64 }) |name| {
        try std.testing.expect(isValid(name));
    }
    for ([_][]const u8{ "", "-git", ".git", "a/b", "a b", "g\xc3\xadt", "a\n", "x" ** 65 }) |name| {
        try std.testing.expect(!isValid(name));
    }
}

test "the name is the last component of the path" {
    try std.testing.expectEqualStrings("git", fromPath("/usr/local/bin/git"));
    try std.testing.expectEqualStrings("git", fromPath("git"));
    try std.testing.expectEqualStrings("", fromPath("bin/"));
    try std.testing.expectEqualStrings("", fromPath(""));
}

test "the shim knows its own names" {
    try std.testing.expect(isOwn("airlock-shim"));
    try std.testing.expect(isOwn("airlock-shim-linux-aarch64"));
    try std.testing.expect(!isOwn("airlock"));
    try std.testing.expect(!isOwn("git"));
}

test "git's ssh is a command and its first argument" {
    try std.testing.expectEqualStrings("git-remote", meaningOf("git-ssh").command);
    try std.testing.expectEqualStrings("ssh", meaningOf("git-ssh").first.?);
    try std.testing.expectEqualStrings("git-remote", meaningOf("git-remote").command);
    try std.testing.expectEqual(null, meaningOf("git-remote").first);
}
