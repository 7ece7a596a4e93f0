//! Opening a path in which there may be no link.

const linux = @import("std").os.linux;
const failed = @import("errno.zig").failed;

/// openat2(2). Why `path` could not be opened, null if it was: ELOOP where a part of it is a link.
pub fn open(path: [*:0]const u8, flags: linux.O, descriptor: *i32) ?linux.E {
    const no_magiclinks = 0x02;
    const no_symlinks = 0x04;
    // struct open_how: flags, mode and resolve.
    const how = [3]u64{ @as(u32, @bitCast(flags)), 0, no_magiclinks | no_symlinks };
    const opened = linux.syscall4(
        .openat2,
        @bitCast(@as(isize, linux.AT.FDCWD)),
        @intFromPtr(path),
        @intFromPtr(&how),
        @sizeOf(@TypeOf(how)),
    );
    if (failed(opened)) |errno| return errno;
    descriptor.* = @intCast(opened);
    return null;
}
