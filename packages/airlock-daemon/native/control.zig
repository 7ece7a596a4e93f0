//! What the daemon and a supervisor say to each other over the control socket of a command. It is a
//! SOCK_SEQPACKET socket, so that a message arrives whole or not at all.

const std = @import("std");
const linux = std.os.linux;

/// From the daemon: two bytes, a letter and a signal number.
pub const Order = union(enum) {
    /// `S`: deliver the signal to the tool's process group.
    signal: u8,
    /// `E`: end every descendant, beginning with the signal.
    end: u8,
};

/// To the daemon: eight bytes, a letter, three zero bytes and a little-endian i32.
pub const Report = enum(u8) {
    /// A box is as it is to be, and waits for its order, which is not there yet; the value is 0.
    waiting = 'W',
    /// The tool ended; the value is its wait(2) status. Something that it started is left.
    ended = 'X',
    /// The same, and nothing is left.
    over = 'O',
    /// The same, and the supervisor waits for another order on this socket.
    ready = 'R',
    /// execve(2) failed; the value of this and of the next two is an errno.
    exec_failed = 'F',
    /// The working directory could not be entered.
    directory_failed = 'D',
    /// Another step of the preparation failed.
    setup_failed = 'N',
};

/// The longest message to the daemon, in bytes: what was left in a box, see `leftovers.zig`.
pub const longest = 4096;

pub const Received = union(enum) {
    order: Order,
    nothing,
    /// The daemon is gone, and gives no more orders.
    closed,
};

/// Take one message, without waiting. What cannot be understood counts as `closed`: two sides that
/// disagree about the protocol have lost control of the tool, and the safe answer is to end it.
pub fn receive(control: i32) Received {
    var message: [8]u8 = undefined;
    const result = linux.recvfrom(control, &message, message.len, linux.MSG.DONTWAIT, null, null);
    return switch (linux.E.init(result)) {
        .SUCCESS => if (decode(message[0..result])) |order| .{ .order = order } else .closed,
        .AGAIN, .INTR => .nothing,
        else => .closed,
    };
}

/// Whether the daemon has said nothing yet.
pub fn isSilent(control: i32) bool {
    var source = [_]linux.pollfd{.{ .fd = control, .events = linux.POLL.IN, .revents = 0 }};
    return linux.poll(&source, source.len, 0) == 0;
}

/// Wait until the daemon says something, whatever it is, or is gone.
pub fn waitWord(control: i32) void {
    var byte: [1]u8 = undefined;
    while (linux.E.init(linux.recvfrom(control, &byte, byte.len, 0, null, null)) == .INTR) {}
}

/// Report to the daemon. A daemon that is gone is no error here: the control socket says so too.
pub fn send(control: i32, report: Report, value: i32) void {
    sendBytes(control, &encode(report, value));
}

/// Send a message that is no report.
pub fn sendBytes(control: i32, message: []const u8) void {
    while (true) {
        const result = linux.sendto(control, message.ptr, message.len, linux.MSG.NOSIGNAL, null, 0);
        if (linux.E.init(result) != .INTR) return;
    }
}

/// Report why there is no tool.
pub fn sendFailure(control: i32, report: Report, errno: linux.E) void {
    send(control, report, @intFromEnum(errno));
}

pub fn decode(message: []const u8) ?Order {
    if (message.len != 2 or message[1] < 1 or message[1] >= linux.NSIG) return null;
    return switch (message[0]) {
        'S' => .{ .signal = message[1] },
        'E' => .{ .end = message[1] },
        else => null,
    };
}

pub fn encode(report: Report, value: i32) [8]u8 {
    var message = [_]u8{ @intFromEnum(report), 0, 0, 0, 0, 0, 0, 0 };
    std.mem.writeInt(i32, message[4..8], value, .little);
    return message;
}
