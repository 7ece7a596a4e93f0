//! The system calls that the shim makes, each with the interruptions and short counts that its
//! manual page warns of dealt with once.
//!
//! They are raw (no libc) and report the error number as a value: what the shim tells its user
//! depends on it, and none of them may be taken for impossible, since the image that the shim
//! runs in, its descriptors included, is not of our making.

const std = @import("std");
pub const linux = std.os.linux;
pub const Errno = linux.E;

/// What a call gave: `value` counts only when `errno` is `.SUCCESS`.
pub const Result = struct {
    value: usize,
    errno: Errno,

    pub fn ok(result: Result) bool {
        return result.errno == .SUCCESS;
    }

    /// The descriptor that an opening call gave.
    pub fn descriptor(result: Result) i32 {
        return @intCast(result.value);
    }
};

fn resultOf(rc: usize) Result {
    return .{ .value = rc, .errno = linux.E.init(rc) };
}

/// read(2), begun again when a signal interrupts it.
pub fn read(fd: i32, buffer: []u8) Result {
    while (true) {
        const result = resultOf(linux.read(fd, buffer.ptr, buffer.len));
        if (result.errno != .INTR) return result;
    }
}

/// Writes all of `bytes` with write(2). A descriptor that somebody else made non-blocking is
/// waited for, so that the reader's pace holds there too.
pub fn writeAll(fd: i32, bytes: []const u8) Errno {
    var rest = bytes;
    while (rest.len > 0) {
        const result = resultOf(linux.write(fd, rest.ptr, rest.len));
        switch (result.errno) {
            .SUCCESS => rest = rest[result.value..],
            .INTR => {},
            .AGAIN => waitWritable(fd),
            else => return result.errno,
        }
    }
    return .SUCCESS;
}

fn waitWritable(fd: i32) void {
    var waiting = [_]linux.pollfd{.{ .fd = fd, .events = linux.POLL.OUT, .revents = 0 }};
    // Whatever it says, the write that follows finds out.
    _ = linux.poll(&waiting, 1, -1);
}

/// Sends all of `bytes` on a socket without ever raising SIGPIPE.
pub fn sendAll(fd: i32, bytes: []const u8) Errno {
    var rest = bytes;
    while (rest.len > 0) {
        const result = resultOf(linux.sendto(fd, rest.ptr, rest.len, linux.MSG.NOSIGNAL, null, 0));
        switch (result.errno) {
            .SUCCESS => rest = rest[result.value..],
            .INTR => {},
            else => return result.errno,
        }
    }
    return .SUCCESS;
}

pub fn open(path: [*:0]const u8, flags: linux.O) Result {
    return resultOf(linux.open(path, flags, 0));
}

pub fn close(fd: i32) void {
    _ = linux.close(fd);
}

pub fn unixSocket() Result {
    return resultOf(linux.socket(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
}

/// connect(2). A unix socket's connect leaves nothing behind when a signal interrupts its wait
/// for a place in the queue, so it is simply made again.
pub fn connect(fd: i32, address: *const linux.sockaddr.un) Result {
    while (true) {
        const result = resultOf(linux.connect(fd, address, @sizeOf(linux.sockaddr.un)));
        if (result.errno != .INTR) return result;
    }
}

/// getdents64(2): whole entries, as many as fit.
pub fn readDirectory(fd: i32, buffer: []align(8) u8) Result {
    return resultOf(linux.getdents64(fd, buffer.ptr, buffer.len));
}

pub fn isOpen(fd: i32) bool {
    return resultOf(linux.fcntl(fd, linux.F.GETFD, 0)).errno != .BADF;
}

pub fn makeDirectory(path: [*:0]const u8) Errno {
    return resultOf(linux.mkdir(path, 0o777)).errno;
}

pub fn makeSymlink(target: [*:0]const u8, path: [*:0]const u8) Errno {
    return resultOf(linux.symlink(target, path)).errno;
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

    pub fn isDirectory(identity: FileIdentity) bool {
        return linux.S.ISDIR(identity.mode);
    }

    pub fn isSameFile(one: FileIdentity, other: FileIdentity) bool {
        return one.major == other.major and one.minor == other.minor and one.inode == other.inode;
    }
};

/// The file at `path`, links followed; null when there is none or it may not be looked at.
pub fn identify(path: [*:0]const u8) ?FileIdentity {
    var buffer: linux.Statx = undefined;
    const wanted = linux.STATX_TYPE | linux.STATX_INO;
    if (!resultOf(linux.statx(linux.AT.FDCWD, path, 0, wanted, &buffer)).ok()) return null;
    return .{
        .major = buffer.dev_major,
        .minor = buffer.dev_minor,
        .inode = buffer.ino,
        .mode = buffer.mode,
    };
}

/// The working directory as the kernel names it. Null where it has no path: it was removed, lies
/// outside of this root ("(unreachable)"), or is longer than `buffer`.
pub fn workingDirectory(buffer: []u8) ?[]const u8 {
    const result = resultOf(linux.getcwd(buffer.ptr, buffer.len));
    if (!result.ok() or result.value < 2 or buffer[0] != '/') return null;
    return buffer[0 .. result.value - 1];
}

/// Makes a later write to a pipe without a reader fail instead of ending the process.
pub fn holdBrokenPipeSignal() void {
    changeBrokenPipeMask(linux.SIG.BLOCK);
}

/// Ends the process by SIGPIPE, whatever was inherited for that signal.
pub fn dieOfBrokenPipe() noreturn {
    const default: linux.Sigaction = .{
        .handler = .{ .handler = linux.SIG.DFL },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    _ = linux.sigaction(linux.SIG.PIPE, &default, null);
    changeBrokenPipeMask(linux.SIG.UNBLOCK);
    _ = linux.kill(linux.getpid(), linux.SIG.PIPE);
    // Only a process 1 of its own namespace gets here: the kernel spares it.
    linux.exit_group(128 + linux.SIG.PIPE);
}

/// Has `signal` end the process at once, with the exit status that a shell reports for it.
pub fn exitOnSignal(signal: u8) void {
    const action: linux.Sigaction = .{
        .handler = .{ .handler = exitForSignal },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    _ = linux.sigaction(signal, &action, null);
}

fn exitForSignal(signal: i32) callconv(.c) void {
    linux.exit_group(128 + signal);
}

fn changeBrokenPipeMask(how: u32) void {
    var set = linux.sigemptyset();
    linux.sigaddset(&set, linux.SIG.PIPE);
    _ = linux.sigprocmask(how, &set, null);
}

/// An error number in words.
pub fn describe(errno: Errno) []const u8 {
    return switch (errno) {
        .NOENT => "no such file or directory",
        .NOTDIR => "a part of the path is not a directory",
        .CONNREFUSED => "nobody listens there",
        .CONNRESET => "connection reset",
        .ACCES => "permission denied",
        .PERM => "operation not permitted",
        .EXIST => "it is there already",
        .ISDIR => "it is a directory",
        .ROFS => "the file system is read-only",
        .NOSPC => "no space left on the device",
        .DQUOT => "the disk quota is used up",
        .IO => "input/output error",
        .BADF => "the descriptor is closed",
        .LOOP => "too many symbolic links",
        .NAMETOOLONG => "the name is too long",
        .MFILE, .NFILE => "too many open files",
        .PROTOTYPE => "it is no stream socket",
        .AGAIN => "its queue is full",
        .NOMEM, .NOBUFS => "out of memory",
        else => |other| std.enums.tagName(Errno, other) orelse "an error without a name",
    };
}
