//! The system calls of sockets. None of them raises SIGPIPE.

const std = @import("std");
const system = @import("system.zig");
const Path = @import("socket_path.zig").Path;
const linux = system.linux;
const Result = system.Result;
const resultOf = system.resultOf;

/// SCM_RIGHTS of unix(7).
const scm_rights = 1;

/// The most connections that wait to be accepted.
pub const backlog = 4096;

/// Takes what a socket has, without waiting.
pub fn receive(fd: i32, buffer: []u8) Result {
    return resultOf(linux.recvfrom(fd, buffer.ptr, buffer.len, linux.MSG.DONTWAIT, null, null));
}

/// Sends what a socket takes, without waiting.
pub fn send(fd: i32, bytes: []const u8) Result {
    const flags = linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT;
    return resultOf(linux.sendto(fd, bytes.ptr, bytes.len, flags, null, 0));
}

/// The same, with an array of descriptors that ride on the first byte (unix(7), SCM_RIGHTS).
pub fn sendWithDescriptors(fd: i32, bytes: []const u8, descriptors: anytype) Result {
    const vector = [_]std.posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
    const Descriptors = @TypeOf(descriptors);
    const control: extern struct { length: usize, level: i32, type: i32, descriptors: Descriptors } = .{
        .length = @sizeOf(usize) + 2 * @sizeOf(i32) + @sizeOf(Descriptors),
        .level = linux.SOL.SOCKET,
        .type = scm_rights,
        .descriptors = descriptors,
    };
    const message: linux.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = &vector,
        .iovlen = 1,
        .control = &control,
        .controllen = @sizeOf(@TypeOf(control)),
        .flags = 0,
    };
    return resultOf(linux.sendmsg(fd, &message, linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT));
}

/// Takes the one descriptor that rides on a message, without waiting, or says that none will come.
pub fn receiveDescriptor(fd: i32) Result {
    var word: [16]u8 = undefined;
    var vector = [_]std.posix.iovec{.{ .base = &word, .len = word.len }};
    var control: extern struct { length: usize = 0, level: i32 = 0, type: i32 = 0, descriptor: i32 = 0 } = .{};
    var message: linux.msghdr = .{
        .name = null,
        .namelen = 0,
        .iov = &vector,
        .iovlen = 1,
        .control = &control,
        .controllen = @offsetOf(@TypeOf(control), "descriptor") + @sizeOf(i32),
        .flags = 0,
    };
    const result = resultOf(linux.recvmsg(fd, &message, linux.MSG.DONTWAIT | linux.MSG.CMSG_CLOEXEC));
    if (!result.ok()) return result;
    const has_one = message.controllen > 0 and control.level == linux.SOL.SOCKET and
        control.type == scm_rights;
    if (!has_one) return .{ .value = 0, .errno = .PIPE };
    return .{ .value = @intCast(control.descriptor), .errno = .SUCCESS };
}

/// A number that getsockopt(2) knows of the socket.
pub fn option(fd: i32, name: u32) Result {
    var value: u32 = 0;
    var length: linux.socklen_t = @sizeOf(u32);
    const status = linux.getsockopt(fd, linux.SOL.SOCKET, name, @ptrCast(&value), &length);
    return .{ .value = value, .errno = resultOf(status).errno };
}

pub fn create() Result {
    return resultOf(linux.socket(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
}

pub fn createNonBlocking() Result {
    const kind = linux.SOCK.STREAM | linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK;
    return resultOf(linux.socket(linux.AF.UNIX, kind, 0));
}

/// A new connection that does not block.
pub noinline fn connectNonBlocking(path: *const Path) Result {
    const made = createNonBlocking();
    if (!made.ok()) return made;
    const address = path.address();
    const connected = connect(made.descriptor(), &address);
    if (connected.ok()) return made;
    system.close(made.descriptor());
    return connected;
}

/// A socket that listens at a port of 127.0.0.1 and does not block.
pub noinline fn listenAtLoopback(port: u16) Result {
    const kind = linux.SOCK.STREAM | linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK;
    const made = resultOf(linux.socket(linux.AF.INET, kind, 0));
    if (!made.ok()) return made;
    const fd = made.descriptor();
    // Connections of an earlier listener may still be in TIME-WAIT.
    enable(fd, linux.SOL.SOCKET, linux.SO.REUSEADDR);
    const address = loopback(port);
    var done = resultOf(linux.bind(fd, @ptrCast(&address), @sizeOf(linux.sockaddr.in)));
    if (done.ok()) done = resultOf(linux.listen(fd, backlog));
    if (done.ok()) return made;
    system.close(fd);
    return done;
}

/// A connection to a port of 127.0.0.1, which blocks.
pub fn connectLoopback(port: u16) Result {
    const made = resultOf(linux.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
    if (!made.ok()) return made;
    const address = loopback(port);
    const size = @sizeOf(linux.sockaddr.in);
    const connected = resultOf(linux.connect(made.descriptor(), @ptrCast(&address), size));
    if (connected.ok()) return made;
    system.close(made.descriptor());
    return connected;
}

/// A port's number; 0 for anything else.
pub noinline fn parsePort(text: []const u8) u16 {
    return std.fmt.parseInt(u16, text, 10) catch 0;
}

fn loopback(port: u16) linux.sockaddr.in {
    return .{
        .port = std.mem.nativeToBig(u16, port),
        .addr = std.mem.nativeToBig(u32, 0x7f000001),
    };
}

/// Sets an option of setsockopt(2) to 1. That a socket has no such option is no fault.
pub fn enable(fd: i32, level: i32, name: u32) void {
    const one: u32 = 1;
    _ = linux.setsockopt(fd, level, name, std.mem.asBytes(&one), @sizeOf(u32));
}

/// connect(2). A unix socket's connect leaves nothing behind when a signal interrupts its wait
/// for a place in the queue, so it is simply made again.
pub fn connect(fd: i32, address: *const linux.sockaddr.un) Result {
    while (true) {
        const result = resultOf(linux.connect(fd, address, @sizeOf(linux.sockaddr.un)));
        if (result.errno != .INTR) return result;
    }
}
