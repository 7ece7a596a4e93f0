//! A path that fits into a unix socket's address (unix(7)).

const std = @import("std");
const linux = std.os.linux;

/// The longest one in bytes: `sun_path` without its final NUL.
pub const limit = 107;

pub const Path = struct {
    storage: [limit + 1]u8,
    length: usize,

    /// The parts one after the other; null when that is too long.
    pub noinline fn join(parts: []const []const u8) ?Path {
        var path: Path = .{ .storage = @splat(0), .length = 0 };
        for (parts) |part| {
            if (part.len > limit - path.length) return null;
            @memcpy(path.storage[path.length..][0..part.len], part);
            path.length += part.len;
        }
        return path;
    }

    /// The directory that it lies in.
    pub fn parent(path: *const Path) Path {
        const slash = std.mem.lastIndexOfScalar(u8, path.bytes(), '/');
        const length = slash orelse return join(&.{"."}).?;
        return join(&.{path.storage[0..@max(length, 1)]}).?;
    }

    pub fn bytes(path: *const Path) []const u8 {
        return path.storage[0..path.length];
    }

    pub fn terminated(path: *const Path) [*:0]const u8 {
        return path.storage[0..limit :0];
    }

    pub fn address(path: *const Path) linux.sockaddr.un {
        return .{ .family = linux.AF.UNIX, .path = path.storage };
    }
};

test "a path of 107 bytes fits and a longer one does not" {
    const path = Path.join(&.{ "/", "x" ** 100, "/12345" }) orelse return error.TooLong;
    try std.testing.expectEqualStrings("/" ++ "x" ** 100 ++ "/12345", path.bytes());
    try std.testing.expectEqualStrings(path.bytes(), std.mem.span(path.terminated()));
    try std.testing.expectEqual(null, Path.join(&.{ "/", "x" ** 100, "/123456" }));
}

test "the parent is what stands before the last part" {
    for ([_][2][]const u8{ .{ "/run/a/b.sock", "/run/a" }, .{ "/b", "/" }, .{ "b", "." } }) |pair| {
        const path = Path.join(&.{pair[0]}) orelse return error.TooLong;
        try std.testing.expectEqualStrings(pair[1], path.parent().bytes());
    }
}
