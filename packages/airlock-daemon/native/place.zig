//! Where the tool of a box runs. It stands before the order itself.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;
const openPath = @import("unlinked.zig").open;

/// Little-endian: u32 and u32 the two numbers of a device, u64 inode, u32 length; then the path of the
/// directory, with its zero byte.
pub const fixed_size = 20;

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
