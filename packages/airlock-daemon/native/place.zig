//! Where the tool of a box runs. It stands before the order itself.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;
const openPath = @import("unlinked.zig").open;

/// Little-endian: u32 and u32 the two numbers of a device, u64 inode, u32 length; then the path of the
/// directory, with its zero byte.
const fixed_size = 20;

pub const Place = struct {
    /// The directory to start in, as it is called in the box.
    directory: [*:0]const u8,
    /// What the daemon saw there (stat(2)): a descriptor of it would lead out of the box, by `..`. The
    /// inode 0, which no file has, is for a directory of the box's own.
    major: u32,
    minor: u32,
    inode: u64,

    /// Open the directory. No link is followed, and another directory than the daemon's is refused (ESTALE).
    pub fn open(place: *const Place, directory: *i32) ?linux.E {
        const flags: linux.O = .{ .PATH = true, .DIRECTORY = true, .CLOEXEC = true };
        if (openPath(place.directory, flags, directory)) |errno| return errno;
        if (place.inode == 0) return null;
        var found: linux.Statx = undefined;
        const result = linux.statx(directory.*, "", linux.AT.EMPTY_PATH, linux.STATX_INO, &found);
        if (failed(result)) |errno| return errno;
        const is_it = found.dev_major == place.major and found.dev_minor == place.minor and found.ino == place.inode;
        return if (is_it) null else .STALE;
    }
};

/// Read what stands before an order; null if it is malformed. `rest` becomes the order's own message.
pub fn decode(message: []const u8, rest: *[]const u8) ?Place {
    if (message.len < fixed_size) return null;
    const length = std.mem.readInt(u32, message[16..20], .little);
    if (length > message.len - fixed_size) return null;
    const directory = message[fixed_size..][0..length];
    if (std.mem.indexOfScalar(u8, directory, 0) != length -% 1) return null;
    rest.* = message[fixed_size + length ..];
    return .{
        .directory = directory[0 .. length - 1 :0].ptr,
        .major = std.mem.readInt(u32, message[0..4], .little),
        .minor = std.mem.readInt(u32, message[4..8], .little),
        .inode = std.mem.readInt(u64, message[8..16], .little),
    };
}

fn encode(directory: []const u8, length: u32, buffer: *[64]u8) []const u8 {
    std.mem.writeInt(u32, buffer[0..4], 253, .little);
    std.mem.writeInt(u32, buffer[4..8], 1, .little);
    std.mem.writeInt(u64, buffer[8..16], 1 << 40, .little);
    std.mem.writeInt(u32, buffer[16..20], length, .little);
    @memcpy(buffer[fixed_size..][0..directory.len], directory);
    return buffer[0 .. fixed_size + directory.len];
}

test "what stands before an order is read, and the order is left" {
    var buffer: [64]u8 = undefined;
    var rest: []const u8 = undefined;
    const place = decode(encode("/workspace\x00order", 11, &buffer), &rest).?;
    try std.testing.expectEqualStrings("/workspace", std.mem.span(place.directory));
    try std.testing.expectEqual(253, place.major);
    try std.testing.expectEqual(1, place.minor);
    try std.testing.expectEqual(1 << 40, place.inode);
    try std.testing.expectEqualStrings("order", rest);
}

test "a directory that is not ended, is cut, or ends early is refused" {
    var buffer: [64]u8 = undefined;
    var rest: []const u8 = undefined;
    inline for (.{ .{ "/w\x00", 2 }, .{ "/w\x00", 4 }, .{ "/w\x00", 0 }, .{ "/\x00w\x00", 4 } }) |bad|
        try std.testing.expectEqual(null, decode(encode(bad[0], bad[1], &buffer), &rest));
    try std.testing.expectEqual(null, decode(buffer[0 .. fixed_size - 1], &rest));
    try std.testing.expect(decode(encode("/w\x00", 3, &buffer), &rest) != null);
}
