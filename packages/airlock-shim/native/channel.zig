//! Reading and writing a descriptor that was given to us without ever waiting on it.
//!
//! It is shared with the processes that gave it to us, so it cannot be set non-blocking: that
//! would hold for them too. What there is instead depends on its kind.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const stdio = @import("stdio.zig");
const linux = system.linux;

/// What a pipe takes without waiting when poll(2) calls it writable (pipe(7)).
const atomic = 4096;

pub const Channel = struct {
    fd: i32,
    kind: stdio.Kind,
    /// Whether this kernel can read and write a pipe with RWF_NOWAIT (Linux 6.4).
    knows_nowait: bool = true,
    /// Whether a non-blocking description of a terminal was asked for, and whether it was had.
    reopening: enum { untried, refused, done } = .untried,

    pub fn of(descriptor: stdio.Descriptor) Channel {
        return .{ .fd = descriptor.fd, .kind = descriptor.kind };
    }

    /// Reads some bytes: zero at the end, `.AGAIN` when there are none yet.
    pub fn read(channel: *Channel, buffer: []u8) system.Result {
        switch (channel.kind) {
            .file => return system.read(channel.fd, buffer),
            .socket => return socket_module.receive(channel.fd, buffer),
            .pipe, .named_pipe => if (channel.knows_nowait) {
                const result = system.readNow(channel.fd, buffer);
                if (!isUnknown(result.errno)) return result;
                channel.knows_nowait = false;
            },
            else => {},
        }
        if (!system.isReady(channel.fd, linux.POLL.IN)) return again;
        return system.read(channel.fd, buffer);
    }

    /// Writes some of `bytes`, which are not empty; `.AGAIN` when there is no room for any.
    pub fn write(channel: *Channel, bytes: []const u8) system.Result {
        switch (channel.kind) {
            .file, .null_device => return system.write(channel.fd, bytes),
            .socket => return socket_module.send(channel.fd, bytes),
            .pipe, .named_pipe => if (channel.knows_nowait) {
                const result = system.writeNow(channel.fd, bytes);
                if (!isUnknown(result.errno)) return result;
                channel.knows_nowait = false;
            },
            .terminal => {
                if (channel.reopening == .untried) channel.reopen();
                if (channel.reopening == .done) return system.write(channel.fd, bytes);
            },
            else => {},
        }
        if (!system.isReady(channel.fd, linux.POLL.OUT)) return again;
        return system.write(channel.fd, bytes[0..@min(bytes.len, atomic)]);
    }

    /// A terminal that is called writable may still let a writer wait, and can be opened again by
    /// its link in /proc, where there is a /proc.
    fn reopen(channel: *Channel) void {
        var path: [32]u8 = undefined;
        const link = std.fmt.bufPrintZ(&path, "/proc/self/fd/{d}", .{channel.fd}) catch unreachable;
        const opened = system.open(link, .{
            .ACCMODE = .WRONLY,
            .NONBLOCK = true,
            .NOCTTY = true,
            .CLOEXEC = true,
        });
        channel.reopening = if (opened.ok()) .done else .refused;
        if (opened.ok()) channel.fd = opened.descriptor();
    }
};

const again: system.Result = .{ .value = 0, .errno = .AGAIN };

fn isUnknown(errno: system.Errno) bool {
    return switch (errno) {
        .OPNOTSUPP, .NOSYS, .INVAL => true,
        else => false,
    };
}

/// Fills a blocking pipe and empties it again, and answers how much went through.
fn exchange(knows_nowait: bool) !usize {
    const ends = try std.posix.pipe();
    defer system.close(ends[0]);
    var writing: Channel = .{ .fd = ends[1], .kind = .pipe, .knows_nowait = knows_nowait };
    var reading: Channel = .{ .fd = ends[0], .kind = .pipe, .knows_nowait = knows_nowait };
    var buffer: [20_000]u8 = @splat('x');
    var written: usize = 0;
    while (true) {
        const result = writing.write(&buffer);
        if (result.errno == .AGAIN) break;
        try std.testing.expect(result.ok());
        written += result.value;
    }
    var taken: usize = 0;
    while (true) {
        const result = reading.read(&buffer);
        if (result.errno == .AGAIN) break;
        try std.testing.expect(result.ok());
        taken += result.value;
    }
    try std.testing.expectEqual(written, taken);
    system.close(ends[1]);
    try std.testing.expectEqual(0, reading.read(&buffer).value);
    return taken;
}

test "a pipe that blocks is filled and emptied without waiting, on older kernels too" {
    for ([_]bool{ true, false }) |knows_nowait| {
        try std.testing.expect(try exchange(knows_nowait) >= atomic);
    }
}
