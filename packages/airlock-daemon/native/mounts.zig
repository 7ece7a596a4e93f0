//! System calls about mounts.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;
const openPath = @import("unlinked.zig").open;

/// mount(2).
pub fn mount(
    source: ?[*:0]const u8,
    target: [*:0]const u8,
    kind: ?[*:0]const u8,
    flags: u32,
    options: ?[*:0]const u8,
) ?linux.E {
    return failed(linux.syscall5(
        .mount,
        @intFromPtr(source),
        @intFromPtr(target),
        @intFromPtr(kind),
        flags,
        @intFromPtr(options),
    ));
}

/// Let nothing more be made in the file system in memory at `path`; what is mounted below stays as it is.
pub fn close(path: [*:0]const u8) ?linux.E {
    const flags = linux.MS.REMOUNT | linux.MS.BIND | linux.MS.RDONLY | linux.MS.NOSUID | linux.MS.NODEV;
    return mount(null, path, null, flags, null);
}

/// move_mount(2). Others may change the directory of the target meanwhile: what is opened is what is used. ESTALE if
/// it is not what `expected` says, `=MAJOR:MINOR:INODE`, with `@` also the root of a mount; any other word allows all.
pub fn move(from: [*:0]const u8, to: [*:0]const u8, expected: [*:0]const u8) ?linux.E {
    var target: i32 = undefined;
    const is_known = expected[0] == '=' or expected[0] == '@';
    if (openPath(to, .{ .PATH = true, .CLOEXEC = true }, &target)) |errno|
        return if (is_known and (errno == .NOENT or errno == .NOTDIR or errno == .LOOP)) .STALE else errno;
    defer _ = linux.close(target);
    if (is_known) if (compare(target, expected)) |errno| return errno;
    const here: usize = @bitCast(@as(isize, linux.AT.FDCWD));
    const to_empty_path = 0x40;
    return failed(linux.syscall5(
        .move_mount,
        here,
        @intFromPtr(from),
        @intCast(target),
        @intFromPtr(""),
        to_empty_path,
    ));
}

fn compare(target: i32, expected: [*:0]const u8) ?linux.E {
    var found: linux.Statx = undefined;
    // As the daemon has looked: a file system that is not answered any more is not asked.
    const dont_sync = 0x4000;
    if (failed(linux.statx(target, "", linux.AT.EMPTY_PATH | dont_sync, linux.STATX_INO, &found))) |errno| return errno;
    var buffer: [64]u8 = undefined;
    const numbers = .{ expected[0], found.dev_major, found.dev_minor, found.ino };
    const word = std.fmt.bufPrint(&buffer, "{c}{d}:{d}:{d}", numbers) catch unreachable;
    const is_right = expected[0] == '=' or found.attributes & attribute_mount_root != 0;
    return if (is_right and std.mem.eql(u8, word, std.mem.span(expected))) null else .STALE;
}

/// STATX_ATTR_MOUNT_ROOT of linux/stat.h.
pub const attribute_mount_root = 0x2000;

/// Mount what is at `from`, with all that is mounted below, at `to` as well, which is made for it, in the way in
/// which it is mounted there. Neither may have a link in it. open_tree(2) would do, which profiles of containers
/// do not allow.
pub fn copy(from: [*:0]const u8, to: [*:0]const u8) ?linux.E {
    var source: i32 = undefined;
    if (openPath(from, .{ .PATH = true, .CLOEXEC = true }, &source)) |errno| return errno;
    defer _ = linux.close(source);
    if (makePoint(source, to)) |errno| return errno;
    var target: i32 = undefined;
    if (openPath(to, .{ .PATH = true, .CLOEXEC = true }, &target)) |errno| return errno;
    defer _ = linux.close(target);
    return mount(&nameOpened(source), &nameOpened(target), null, linux.MS.BIND | linux.MS.REC, null);
}

/// What is open, wherever it is (proc_pid_fd(5)).
fn nameOpened(descriptor: i32) [32:0]u8 {
    var name: [32:0]u8 = @splat(0);
    _ = std.fmt.bufPrint(&name, "/proc/self/fd/{d}", .{descriptor}) catch unreachable;
    return name;
}

/// A directory for a directory, and a file for all else.
fn makePoint(source: i32, path: [*:0]const u8) ?linux.E {
    var found: linux.Statx = undefined;
    if (failed(linux.statx(source, "", linux.AT.EMPTY_PATH, linux.STATX_TYPE, &found))) |errno| return errno;
    if (linux.S.ISDIR(found.mode)) return failed(linux.mkdir(path, 0o755));
    const made = linux.open(path, .{ .ACCMODE = .WRONLY, .CREAT = true, .EXCL = true, .CLOEXEC = true }, 0o444);
    if (failed(made)) |errno| return errno;
    _ = linux.close(@intCast(made));
    return null;
}

/// Let no link be followed on the mount at `path` and all that is mounted inside.
pub fn forbidLinks(path: [*:0]const u8) ?linux.E {
    var target: i32 = undefined;
    if (openPath(path, .{ .PATH = true, .CLOEXEC = true }, &target)) |errno| return errno;
    defer _ = linux.close(target);
    const no_symfollow = 0x00200000;
    return setAt(target, "", linux.AT.EMPTY_PATH, no_symfollow, 0);
}

fn setAt(directory: i32, path: [*:0]const u8, flags: u32, set: u64, clear: u64) ?linux.E {
    // struct mount_attr: what is set, cleared, how it is shared, and whose identities it has.
    const attributes = [4]u64{ set, clear, 0, 0 };
    return failed(linux.syscall5(
        .mount_setattr,
        @bitCast(@as(isize, directory)),
        @intFromPtr(path),
        flags | recursive,
        @intFromPtr(&attributes),
        @sizeOf(@TypeOf(attributes)),
    ));
}

const recursive = 0x8000;
