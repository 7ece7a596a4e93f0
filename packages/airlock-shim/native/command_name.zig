//! What may be the name of a command, and which names are the shim's own.

const std = @import("std");

/// The name that the shim calls itself, and begins its released files' names with.
pub const own = "airlock-shim";

/// The name that the image's git calls the shim by, as its ssh.
pub const git_ssh = "git-ssh";

/// The name that git-lfs calls the shim by, as its transfer agent.
pub const git_lfs = "git-lfs-agent";

/// The name that git calls the shim by to sign, which is that of the daemon's command, too.
pub const git_sign = "git-sign";

/// Those that it calls its programs for https and http by (gitremote-helpers(7)).
pub const git_helpers = [_][]const u8{ "git-remote-https", "git-remote-http" };

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

/// Whether these words ask an ssh for its settings, as git does to learn whether it is OpenSSH's.
pub fn asksForSettings(name: []const u8, args: []const [*:0]const u8) bool {
    if (!std.mem.eql(u8, name, git_ssh) and !std.mem.eql(u8, name, "ssh")) return false;
    return args.len > 0 and std.mem.eql(u8, std.mem.span(args[0]), "-G");
}

/// What the daemon is asked for: a command, and an argument that comes before all others.
pub const Meaning = struct { command: []const u8, first: ?[:0]const u8 = null };

const transports = [_]struct { name: []const u8, first: [:0]const u8 }{
    .{ .name = git_ssh, .first = "ssh" },
    .{ .name = git_helpers[0], .first = "https" },
    .{ .name = git_helpers[1], .first = "http" },
};

/// What calling the shim by `name` means: the command of that name, but where the name is that of
/// one of git's transports.
pub fn meaningOf(name: []const u8) Meaning {
    for (transports) |transport| {
        if (!std.mem.eql(u8, name, transport.name)) continue;
        return .{ .command = "git-remote", .first = transport.first };
    }
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

test "ssh is asked for its settings by its first word" {
    try std.testing.expect(asksForSettings("ssh", &.{ "-G", "host" }));
    try std.testing.expect(asksForSettings("git-ssh", &.{"-G"}));
    try std.testing.expect(!asksForSettings("ssh", &.{ "host", "-G" }));
    try std.testing.expect(!asksForSettings("git-ssh", &.{}));
    try std.testing.expect(!asksForSettings("git", &.{"-G"}));
}

test "git's transports are a command and its first argument" {
    const names = [_][2][]const u8{
        .{ "git-ssh", "ssh" },
        .{ "git-remote-https", "https" },
        .{ "git-remote-http", "http" },
    };
    for (names) |row| {
        try std.testing.expectEqualStrings("git-remote", meaningOf(row[0]).command);
        try std.testing.expectEqualStrings(row[1], meaningOf(row[0]).first.?);
    }
    for ([_][]const u8{ "git-remote", "git-remote-ftp", "git-remote-httpsx" }) |name| {
        try std.testing.expectEqualStrings(name, meaningOf(name).command);
        try std.testing.expectEqual(null, meaningOf(name).first);
    }
}
