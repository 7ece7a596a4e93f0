//! Sockets that listen in a box's own network, on which the daemon accepts: what the box reaches, it reaches
//! by these.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;

/// So many at most; the daemon asks for no more.
pub const most = 64;

/// How many connections wait at each until the daemon takes them.
const backlog = 64;

/// Listen at each of `addresses`, IPv4 as `127.0.0.1:3128`, IPv6 as `[::1]:3128`, and `@NAME` for the abstract
/// name of a unix socket, with commas between, and send all of the sockets over `socket` in one message. The errno of the step that failed, if one did. They
/// stay open here, and close on execve(2). An address of a family that the kernel does not have is passed over.
pub fn open(socket: i32, addresses: []const u8) ?linux.E {
    var listeners: [most]i32 = undefined;
    var count: usize = 0;
    var words = std.mem.splitScalar(u8, addresses, ',');
    while (words.next()) |word| {
        if (count == most) return .@"2BIG";
        if (listen(word, &listeners[count])) |errno| {
            if (errno == .AFNOSUPPORT or errno == .ADDRNOTAVAIL) continue;
            return errno;
        }
        count += 1;
    }
    return send(socket, listeners[0..count]);
}

fn listen(word: []const u8, listener: *i32) ?linux.E {
    if (word.len > 0 and word[0] == '@') {
        const named = nameAbstract(word[1..]) orelse return .INVAL;
        // unix(7): the name is all of the address that its length has, from a zero byte on.
        const length = @offsetOf(linux.sockaddr.un, "path") + word.len;
        return listenAt(0, @ptrCast(&named), @intCast(length), listener);
    }
    const address = parse(word) orelse return .INVAL;
    return listenAt(linux.IPPROTO.TCP, &address.any, address.getOsSockLen(), listener);
}

/// The address of an abstract name, which is of the network namespace and of no file system.
pub fn nameAbstract(name: []const u8) ?linux.sockaddr.un {
    var address = linux.sockaddr.un{ .path = @splat(0) };
    if (name.len == 0 or name.len >= address.path.len) return null;
    @memcpy(address.path[1..][0..name.len], name);
    return address;
}

fn listenAt(protocol: u32, address: *const linux.sockaddr, length: u32, listener: *i32) ?linux.E {
    const created = linux.socket(address.family, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, protocol);
    if (failed(created)) |errno| return errno;
    const descriptor: i32 = @intCast(created);
    if (failed(linux.bind(descriptor, address, length))) |errno| return errno;
    if (failed(linux.listen(descriptor, backlog))) |errno| return errno;
    listener.* = descriptor;
    return null;
}

fn send(socket: i32, descriptors: []const i32) ?linux.E {
    // unix(7): SCM_RIGHTS, as struct cmsghdr and what follows it.
    const Control = extern struct { length: usize, level: i32, type: i32, descriptors: [most]i32 };
    const used = @offsetOf(Control, "descriptors") + descriptors.len * @sizeOf(i32);
    var control = Control{ .length = used, .level = linux.SOL.SOCKET, .type = 1, .descriptors = undefined };
    @memcpy(control.descriptors[0..descriptors.len], descriptors);
    const word = [1]std.posix.iovec_const{.{ .base = "L", .len = 1 }};
    const message = linux.msghdr_const{
        .name = null,
        .namelen = 0,
        .iov = &word,
        .iovlen = word.len,
        .control = &control,
        .controllen = std.mem.alignForward(usize, used, @sizeOf(usize)),
        .flags = 0,
    };
    return failed(linux.sendmsg(socket, &message, linux.MSG.NOSIGNAL));
}

/// A numeric address and its port; null for anything else.
pub fn parse(word: []const u8) ?std.net.Address {
    const colon = std.mem.lastIndexOfScalar(u8, word, ':') orelse return null;
    const port = std.fmt.parseInt(u16, word[colon + 1 ..], 10) catch return null;
    const host = word[0..colon];
    if (host.len > 2 and host[0] == '[' and host[host.len - 1] == ']')
        return std.net.Address.parseIp6(host[1 .. host.len - 1], port) catch null;
    return std.net.Address.parseIp4(host, port) catch null;
}
