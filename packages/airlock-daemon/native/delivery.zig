//! What comes out of the service socket: a message and the descriptors that travel with it.

const std = @import("std");
const linux = std.os.linux;

/// The longest message; an order that is longer has its strings in a file of memory.
pub const longest = 64 * 1024;

/// The most descriptors of one message: the five of an order, its file of memory, and those that the
/// tool keeps.
pub const most_descriptors = 64;

/// unix(7): the type of the control message that carries descriptors.
const scm_rights = 1;

const Control = extern struct {
    length: usize,
    level: i32,
    type: i32,
    /// Exactly as many as fit: the kernel closes the others itself.
    descriptors: [most_descriptors]i32,
};

const descriptors_offset = @offsetOf(Control, "descriptors");

// Zero until used: it takes no room in the file, and memory only as far as messages reach.
var buffer: [longest]u8 = undefined;

pub const Delivery = struct {
    length: usize = 0,
    descriptors: [most_descriptors]i32 = undefined,
    count: usize = 0,
    /// Whether nothing of the message or its descriptors was cut off.
    whole: bool = false,

    /// The message, valid until the next one is received.
    pub fn message(delivery: *const Delivery) []const u8 {
        return buffer[0..delivery.length];
    }

    /// The descriptors, all of them close-on-exec.
    pub fn received(delivery: *const Delivery) []const i32 {
        return delivery.descriptors[0..delivery.count];
    }
};

pub const Fault = error{Unusable};

/// Wait for the next message. Null when the other end is closed.
pub fn receive(socket: i32) Fault!?Delivery {
    var control: Control = undefined;
    var vector = [_]std.posix.iovec{.{ .base = &buffer, .len = buffer.len }};
    var header = linux.msghdr{
        .name = null,
        .namelen = 0,
        .iov = &vector,
        .iovlen = vector.len,
        .control = &control,
        .controllen = @sizeOf(Control),
        .flags = 0,
    };
    const result = while (true) {
        const result = linux.recvmsg(socket, &header, linux.MSG.CMSG_CLOEXEC);
        switch (linux.E.init(result)) {
            .SUCCESS => break result,
            .INTR => header.controllen = @sizeOf(Control),
            // What a closed socket says that held unread messages.
            .CONNRESET => return null,
            else => return error.Unusable,
        }
    };
    var delivery = Delivery{
        .length = result,
        .whole = header.flags & (linux.MSG.TRUNC | linux.MSG.CTRUNC) == 0,
    };
    if (header.controllen >= descriptors_offset and control.type == scm_rights) {
        delivery.count = (control.length - descriptors_offset) / @sizeOf(i32);
        delivery.descriptors = control.descriptors;
    }
    return if (result == 0 and delivery.count == 0) null else delivery;
}
