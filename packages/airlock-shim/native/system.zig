//! The system calls that the shim makes, each with the interruptions and short counts that its
//! manual page warns of dealt with once.
//!
//! They are raw (no libc) and report the error number as a value: what the shim tells its user
//! depends on it, and none of them may be taken for impossible, since the image that the shim
//! runs in, its descriptors included, is not of our making.
//!
//! Functions with many callers are `noinline` here and elsewhere where that makes the program smaller.

const std = @import("std");
pub const linux = std.os.linux;
pub const Errno = linux.E;

/// What a call gave: `value` counts only when `errno` is `.SUCCESS`.
pub const Result = struct {
    value: usize,
    errno: Errno,

    pub noinline fn ok(result: Result) bool {
        return result.errno == .SUCCESS;
    }

    /// The descriptor that an opening call gave.
    pub fn descriptor(result: Result) i32 {
        return @intCast(result.value);
    }
};

/// What a raw call's return value says.
pub fn resultOf(rc: usize) Result {
    return .{ .value = rc, .errno = linux.E.init(rc) };
}

/// read(2), begun again when a signal interrupts it.
pub noinline fn read(fd: i32, buffer: []u8) Result {
    while (true) {
        const result = resultOf(linux.read(fd, buffer.ptr, buffer.len));
        if (result.errno != .INTR) return result;
    }
}

/// write(2), begun again when a signal interrupts it.
pub fn write(fd: i32, bytes: []const u8) Result {
    while (true) {
        const result = resultOf(linux.write(fd, bytes.ptr, bytes.len));
        if (result.errno != .INTR) return result;
    }
}

/// Writes all of `bytes`. A descriptor that another process made non-blocking is waited for, so
/// that the reader's pace holds there too.
pub noinline fn writeAll(fd: i32, bytes: []const u8) Errno {
    var rest = bytes;
    while (rest.len > 0) {
        const result = write(fd, rest);
        switch (result.errno) {
            .SUCCESS => rest = rest[result.value..],
            .AGAIN => wait(fd, linux.POLL.OUT),
            else => return result.errno,
        }
    }
    return .SUCCESS;
}

/// Waits until a descriptor is ready for `events` of poll(2), or something interrupts that.
pub fn wait(fd: i32, events: i16) void {
    var waiting = [_]linux.pollfd{.{ .fd = fd, .events = events, .revents = 0 }};
    // Whatever it says, the call that follows finds out.
    _ = linux.poll(&waiting, 1, -1);
}

/// Waits until a socket can be written to, with `mask` in force meanwhile (ppoll(2)).
pub fn waitForRoom(fd: i32, mask: *const linux.sigset_t) void {
    var waiting = [_]linux.pollfd{.{ .fd = fd, .events = linux.POLL.OUT, .revents = 0 }};
    _ = linux.ppoll(&waiting, 1, null, mask);
}

/// Whether poll(2) has anything to say of the descriptor at this moment.
pub fn isReady(fd: i32, events: i16) bool {
    var waiting = [_]linux.pollfd{.{ .fd = fd, .events = events, .revents = 0 }};
    return resultOf(linux.poll(&waiting, 1, 0)).value > 0;
}

/// Reads what a pipe has without waiting (preadv2(2), RWF_NOWAIT), though it is a blocking one.
pub fn readNow(fd: i32, buffer: []u8) Result {
    const vector = [_]std.posix.iovec{.{ .base = buffer.ptr, .len = buffer.len }};
    return resultOf(linux.preadv2(fd, &vector, 1, -1, linux.RWF.NOWAIT));
}

/// Writes what a pipe takes without waiting.
pub fn writeNow(fd: i32, bytes: []const u8) Result {
    const vector = [_]std.posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
    return resultOf(linux.pwritev2(fd, &vector, 1, -1, linux.RWF.NOWAIT));
}

pub noinline fn open(path: [*:0]const u8, flags: linux.O) Result {
    return resultOf(linux.open(path, flags, 0));
}

pub noinline fn close(fd: i32) void {
    _ = linux.close(fd);
}

/// Closes all descriptors from `first` to `last` (close_range(2)), or those below 1024 of them on a
/// kernel before Linux 5.9.
pub fn closeRange(first: u32, last: u32) void {
    if (resultOf(linux.syscall3(.close_range, first, last, 0)).ok()) return;
    var fd = first;
    while (fd <= @min(last, 1023)) : (fd += 1) close(@intCast(fd));
}

/// Memory that is zero, of whole pages; null where there is none. Pages that are never touched cost
/// nothing.
pub fn map(size: usize) ?[]align(std.heap.page_size_min) u8 {
    const readable_writable = linux.PROT.READ | linux.PROT.WRITE;
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    const result = resultOf(linux.mmap(null, size, readable_writable, flags, -1, 0));
    if (!result.ok()) return null;
    return @as([*]align(std.heap.page_size_min) u8, @ptrFromInt(result.value))[0..size];
}

/// Sleeps, or less where something interrupts that.
pub fn pause(milliseconds: i32) void {
    var nothing: [0]linux.pollfd = .{};
    _ = linux.poll(&nothing, 0, milliseconds);
}

/// Milliseconds of a clock that cannot be set.
pub noinline fn now() i64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return time.sec * 1000 + @divTrunc(time.nsec, 1_000_000);
}

/// getdents64(2): whole entries, as many as fit.
pub fn readDirectory(fd: i32, buffer: []align(8) u8) Result {
    return resultOf(linux.getdents64(fd, buffer.ptr, buffer.len));
}

/// A pipe whose ends are both ours, and are not inherited: the reading one first.
pub noinline fn makePipe(ends: *[2]i32) bool {
    return resultOf(linux.pipe2(ends, .{ .CLOEXEC = true })).ok();
}

/// A descriptor that reads the signals in `set` and never waits (signalfd(2)).
pub fn signalDescriptor(set: *const linux.sigset_t) Result {
    return resultOf(linux.signalfd(-1, set, linux.SFD.CLOEXEC | linux.SFD.NONBLOCK));
}

/// How many bytes a read would find (FIONREAD).
pub fn bytesReadable(fd: i32) usize {
    var count: c_int = 0;
    const result = resultOf(linux.ioctl(fd, linux.T.FIONREAD, @intFromPtr(&count)));
    return if (result.ok() and count > 0) @intCast(count) else 0;
}

pub fn seekBack(fd: i32, count: u64) void {
    if (count > 0) _ = linux.lseek(fd, -@as(i64, @intCast(count)), linux.SEEK.CUR);
}

/// fstat(2); false when the descriptor is closed.
pub fn identifyOpen(fd: i32, stat: *linux.Stat) bool {
    return resultOf(linux.fstat(fd, stat)).ok();
}

/// Whether a FIFO is one without a name: only those are on the kernel's own file system.
pub fn isOnPipeFileSystem(fd: i32) bool {
    const magic: u64 = 0x50495045; // PIPEFS_MAGIC
    var fields: [32]u64 = undefined; // struct statfs (statfs(2)) is 120 bytes, f_type first.
    const number: usize = @bitCast(@as(isize, fd));
    return resultOf(linux.syscall2(.fstatfs, number, @intFromPtr(&fields))).ok() and
        fields[0] == magic;
}

pub fn makeDirectory(path: [*:0]const u8) Errno {
    return resultOf(linux.mkdir(path, 0o777)).errno;
}

pub fn makeSymlink(target: [*:0]const u8, path: [*:0]const u8) Errno {
    return resultOf(linux.symlink(target, path)).errno;
}

/// unlink(2).
pub fn remove(path: [*:0]const u8) Errno {
    return resultOf(linux.unlink(path)).errno;
}

/// rmdir(2).
pub fn removeDirectory(path: [*:0]const u8) Errno {
    return resultOf(linux.rmdir(path)).errno;
}

/// rename(2): what is at `new` is replaced.
pub fn rename(old: [*:0]const u8, new: [*:0]const u8) Errno {
    return resultOf(linux.rename(old, new)).errno;
}

/// Whether anything is at `path`, be it a link that leads nowhere.
pub noinline fn isThere(path: [*:0]const u8) bool {
    var buffer: linux.Statx = undefined;
    const no_follow = linux.AT.SYMLINK_NOFOLLOW;
    return resultOf(linux.statx(linux.AT.FDCWD, path, no_follow, linux.STATX_TYPE, &buffer)).ok();
}

/// Whether this user may execute the file at `path`.
pub fn isExecutable(path: [*:0]const u8) bool {
    const file = identify(path) orelse return false;
    return linux.S.ISREG(file.mode) and resultOf(linux.access(path, linux.X_OK)).ok();
}

/// The text of the link at `path`, in `buffer`; null when it is none or is too long for it.
pub fn readLink(path: [*:0]const u8, buffer: []u8) ?[]const u8 {
    const result = resultOf(linux.readlink(path, buffer.ptr, buffer.len));
    if (!result.ok() or result.value == buffer.len) return null;
    return buffer[0..result.value];
}

/// What tells one file from another, and what kind it is.
pub const FileIdentity = struct {
    major: u32,
    minor: u32,
    inode: u64,
    mode: u16,

    /// That of no file.
    pub const none: FileIdentity = .{ .major = 0, .minor = 0, .inode = 0, .mode = 0 };

    pub fn isDirectory(identity: FileIdentity) bool {
        return linux.S.ISDIR(identity.mode);
    }

    pub fn isSameFile(one: FileIdentity, other: FileIdentity) bool {
        return one.major == other.major and one.minor == other.minor and one.inode == other.inode;
    }
};

/// The file at `path`, links followed; null when there is none or it may not be looked at.
pub noinline fn identify(path: [*:0]const u8) ?FileIdentity {
    var buffer: linux.Statx = undefined;
    const wanted = linux.STATX_TYPE | linux.STATX_INO;
    if (!resultOf(linux.statx(linux.AT.FDCWD, path, 0, wanted, &buffer)).ok()) return null;
    return fileOf(&buffer);
}

fn fileOf(found: *const linux.Statx) FileIdentity {
    return .{
        .major = found.dev_major,
        .minor = found.dev_minor,
        .inode = found.ino,
        .mode = found.mode,
    };
}

/// A file, and the mount by which it was opened.
pub const MountIdentity = struct {
    file: FileIdentity,
    /// Whether it is the root of that; also true where the kernel does not say, as before Linux 5.8.
    may_be_root: bool,
    is_read_only: bool,
};

/// The open file `fd`, which may be a descriptor of its path alone (O_PATH); null when the kernel
/// does not tell.
pub fn identifyMount(fd: i32) ?MountIdentity {
    var buffer: linux.Statx = undefined;
    var fields: [32]u64 = undefined; // struct statfs (statfs(2)), with f_flags behind ten fields
    const wanted = linux.STATX_TYPE | linux.STATX_INO;
    const number: usize = @bitCast(@as(isize, fd));
    if (!resultOf(linux.statx(fd, "", linux.AT.EMPTY_PATH, wanted, &buffer)).ok() or
        !resultOf(linux.syscall2(.fstatfs, number, @intFromPtr(&fields))).ok()) return null;
    const read_only = 1; // ST_RDONLY
    return .{
        .file = fileOf(&buffer),
        .may_be_root = mayBeMountRoot(&buffer),
        .is_read_only = fields[10] & read_only != 0,
    };
}

/// Whether a directory is at `path`, links followed.
pub fn isDirectory(path: [*:0]const u8) bool {
    return if (identify(path)) |file| file.isDirectory() else false;
}

/// Whether something is mounted on `path` itself (statx(2)); also true where the kernel does not
/// say, as before Linux 5.8.
pub noinline fn mayBeMountPoint(path: [*:0]const u8) bool {
    var buffer: linux.Statx = undefined;
    const result = resultOf(linux.statx(linux.AT.FDCWD, path, 0, linux.STATX_TYPE, &buffer));
    if (result.errno == .NOENT or result.errno == .NOTDIR) return false;
    return !result.ok() or mayBeMountRoot(&buffer);
}

fn mayBeMountRoot(found: *const linux.Statx) bool {
    const mount_root = 0x2000; // STATX_ATTR_MOUNT_ROOT
    return found.attributes_mask & mount_root == 0 or found.attributes & mount_root != 0;
}

/// The working directory as the kernel names it. Null where it has no path: it was removed, lies
/// outside of this root ("(unreachable)"), or is longer than `buffer`.
pub fn workingDirectory(buffer: []u8) ?[]const u8 {
    const result = resultOf(linux.getcwd(buffer.ptr, buffer.len));
    if (!result.ok() or result.value < 2 or buffer[0] != '/') return null;
    return buffer[0 .. result.value - 1];
}
