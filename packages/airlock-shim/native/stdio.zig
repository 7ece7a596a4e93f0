//! The three standard descriptors: what each of them is, before anything else is opened.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const terminal = @import("terminal.zig");
const linux = system.linux;

pub const Kind = enum {
    /// A pipe without a name (pipe(2)).
    pipe,
    /// A FIFO in a file system (fifo(7)), which any process that sees it can open again.
    named_pipe,
    terminal,
    /// /dev/null.
    null_device,
    /// A regular file or a block device: it has a position, and reading it never waits.
    file,
    socket,
    /// A directory, another device, or something without a name.
    other,

    /// Whether a tool on the other side may be given the descriptor itself.
    pub fn canBePassed(kind: Kind) bool {
        return switch (kind) {
            .pipe, .terminal, .null_device => true,
            else => false,
        };
    }
};

pub const Descriptor = struct {
    fd: i32,
    kind: Kind,
    device: u64 = 0,
    inode: u64 = 0,

    pub fn isSameFile(one: Descriptor, other: Descriptor) bool {
        return one.device == other.device and one.inode == other.inode;
    }
};

/// Looks at 0, 1 and 2, and opens /dev/null for each that is closed. Else the socket would take
/// its number, and what the tool prints would be sent to the daemon.
pub fn prepare() [3]Descriptor {
    var descriptors: [3]Descriptor = undefined;
    for (&descriptors, 0..) |*descriptor, number| {
        const fd: i32 = @intCast(number);
        descriptor.* = examine(fd, descriptors[0..number]) orelse .{ .fd = fd, .kind = fill() };
    }
    return descriptors;
}

/// The lowest of them that is a terminal.
pub fn firstTerminal(descriptors: *const [3]Descriptor) ?i32 {
    for (descriptors) |descriptor| if (descriptor.kind == .terminal) return descriptor.fd;
    return null;
}

/// What an open descriptor is; null when it is closed. `known` are others of this process.
fn examine(fd: i32, known: []const Descriptor) ?Descriptor {
    var stat: linux.Stat = undefined;
    if (!system.identifyOpen(fd, &stat)) return null;
    const device: u64 = @intCast(stat.dev);
    const kind: Kind = switch (stat.mode & linux.S.IFMT) {
        linux.S.IFREG, linux.S.IFBLK => .file,
        linux.S.IFSOCK => .socket,
        linux.S.IFIFO => for (known) |other| {
            if (other.device == device and other.kind == .pipe) break .pipe;
        } else if (system.isOnPipeFileSystem(fd)) .pipe else .named_pipe,
        linux.S.IFCHR => if (stat.rdev == null_number)
            .null_device
        else if (terminal.isTerminal(fd)) .terminal else .other,
        else => .other,
    };
    return .{ .fd = fd, .kind = kind, .device = device, .inode = stat.ino };
}

/// The device number 1:3 (null(4)).
const null_number = 0x103;

/// Takes the lowest free number, which is that of the closed descriptor: those below it are taken.
fn fill() Kind {
    if (system.open("/dev/null", .{ .ACCMODE = .RDWR }).ok()) return .null_device;
    // An image without /dev: this takes the place too, and can be neither read nor written.
    _ = system.open("/", .{ .PATH = true });
    return .other;
}

fn kindOf(fd: i32) Kind {
    return examine(fd, &.{}).?.kind;
}

test "pipes with and without a name, files, sockets and devices are told apart" {
    const expectEqual = std.testing.expectEqual;
    const pipe = try std.posix.pipe();
    defer for (pipe) |fd| system.close(fd);
    try expectEqual(Kind.pipe, kindOf(pipe[0]));
    const socket = socket_module.create().descriptor();
    defer system.close(socket);
    try expectEqual(Kind.socket, kindOf(socket));
    var temporary = std.testing.tmpDir(.{});
    defer temporary.cleanup();
    try expectEqual(Kind.other, kindOf(temporary.dir.fd));
    const file = try temporary.dir.createFile("file", .{});
    defer file.close();
    try expectEqual(Kind.file, kindOf(file.handle));
    _ = linux.mknodat(temporary.dir.fd, "fifo", linux.S.IFIFO | 0o600, 0);
    const fifo = try std.posix.openat(temporary.dir.fd, "fifo", .{ .ACCMODE = .RDWR }, 0);
    defer system.close(fifo);
    try expectEqual(Kind.named_pipe, kindOf(fifo));
    const null_device = system.open("/dev/null", .{});
    defer system.close(null_device.descriptor());
    try expectEqual(Kind.null_device, kindOf(null_device.descriptor()));
    try std.testing.expectEqual(null, examine(1000, &.{}));
}
