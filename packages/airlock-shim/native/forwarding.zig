//! What becomes of the signals that the shim gets while it waits for the command.

const std = @import("std");
const system = @import("system.zig");
const signals_module = @import("signals.zig");
const terminal = @import("terminal.zig");
const Outbox = @import("outbox.zig").Outbox;
const Signals = signals_module.Signals;
const linux = std.os.linux;

/// How long a signal is kept for a daemon that has not said yet whether it takes signals. One of
/// an earlier release never says, and one that still lets the request wait has nothing to signal.
const patience_ms = 500;

pub const Forwarding = struct {
    signals: Signals,
    handling: enum {
        /// The daemon has not begun: they wait for it.
        keep,
        forward,
        /// They end the shim.
        obey,
    } = .keep,
    kept: [signals_module.forwardable.len]u8 = undefined,
    kept_count: usize = 0,
    /// When those that are kept have waited long enough, by `now`.
    deadline_ms: ?i64 = null,
    /// The terminal whose changes of size are told as such; -1 where SIGWINCH is a signal.
    resized_terminal: i32 = -1,
    interrupts: usize = 0,
    /// A bit for each number that was forwarded.
    forwarded: u64 = 0,
    /// Whether the shim was stopped, and is continued.
    was_continued: bool = false,

    /// Deals with all signals that are there. Answers the one that ends the shim, if there is one.
    pub fn take(forwarding: *Forwarding, outbox: *Outbox) ?u8 {
        while (forwarding.signals.next()) |number| {
            if (forwarding.handle(number, outbox)) |fatal| return fatal;
        }
        return null;
    }

    fn handle(forwarding: *Forwarding, number: u8, outbox: *Outbox) ?u8 {
        if (number == linux.SIG.CONT) {
            forwarding.was_continued = true;
            return null;
        }
        if (number == linux.SIG.INT) {
            forwarding.interrupts += 1;
            // A person who asks twice does not want to wait for the tool.
            if (forwarding.interrupts == 2) return number;
        }
        if (number == linux.SIG.WINCH and forwarding.resized_terminal >= 0) {
            forwarding.tellSize(outbox);
            return null;
        }
        switch (forwarding.handling) {
            .keep => forwarding.keep(number),
            .forward => forwarding.send(number, outbox),
            .obey => if (signals_module.endsProcess(number)) return number,
        }
        return null;
    }

    fn keep(forwarding: *Forwarding, number: u8) void {
        const kept = forwarding.kept[0..forwarding.kept_count];
        if (std.mem.indexOfScalar(u8, kept, number) != null) return;
        forwarding.kept[forwarding.kept_count] = number;
        forwarding.kept_count += 1;
        if (signals_module.endsProcess(number) and forwarding.deadline_ms == null) {
            forwarding.deadline_ms = system.now() + patience_ms;
        }
    }

    fn send(forwarding: *Forwarding, number: u8, outbox: *Outbox) void {
        const name = signals_module.nameOf(number) orelse return;
        forwarding.forwarded |= @as(u64, 1) << @intCast(number);
        outbox.put("{{\"jsonrpc\":\"2.0\",\"method\":\"signal\",\"params\":" ++
            "{{\"name\":\"{s}\"}}}}", .{name});
    }

    fn tellSize(forwarding: *const Forwarding, outbox: *Outbox) void {
        const size = terminal.size(forwarding.resized_terminal);
        outbox.put("{{\"jsonrpc\":\"2.0\",\"method\":\"resize\",\"params\":" ++
            "{{\"rows\":{d},\"cols\":{d}}}}}", .{ size.rows, size.columns });
    }

    /// The daemon takes signals: it gets those that were kept.
    pub fn begin(forwarding: *Forwarding, outbox: *Outbox) void {
        forwarding.handling = .forward;
        forwarding.deadline_ms = null;
        for (forwarding.kept[0..forwarding.kept_count]) |number| {
            if (number == linux.SIG.WINCH and forwarding.resized_terminal >= 0) {
                forwarding.tellSize(outbox);
            } else forwarding.send(number, outbox);
        }
        forwarding.kept_count = 0;
    }

    /// The daemon takes no signals (any more). Answers the one that was kept and ends the shim now.
    pub fn obey(forwarding: *Forwarding) ?u8 {
        forwarding.handling = .obey;
        forwarding.deadline_ms = null;
        for (forwarding.kept[0..forwarding.kept_count]) |number| {
            if (signals_module.endsProcess(number)) return number;
        }
        return null;
    }

    /// How long to wait at most, for poll(2).
    pub fn timeout(forwarding: *const Forwarding) ?i32 {
        const deadline = forwarding.deadline_ms orelse return null;
        return @intCast(@max(0, deadline - system.now()));
    }

    /// The number of the signal that the protocol calls `name`, if it was forwarded.
    pub fn forwardedAs(forwarding: *const Forwarding, name: []const u8) ?u8 {
        for (signals_module.forwardable) |signal| {
            if (!std.mem.eql(u8, signal.name, name)) continue;
            const bit = @as(u64, 1) << @intCast(signal.number);
            return if (forwarding.forwarded & bit != 0) signal.number else null;
        }
        return null;
    }
};

/// A daemon's end of a connection, and what was sent to it.
const Listener = struct {
    ends: [2]i32,
    buffer: [1024]u8 = undefined,

    fn init() !Listener {
        var listener: Listener = .{ .ends = undefined };
        const flags = linux.SOCK.STREAM | linux.SOCK.NONBLOCK;
        const made = linux.socketpair(linux.AF.UNIX, flags, 0, &listener.ends);
        if (made != 0) return error.SkipZigTest;
        return listener;
    }

    fn outbox(listener: *Listener) Outbox {
        return .{ .fd = listener.ends[1], .buffer = &listener.buffer };
    }

    fn expect(listener: *Listener, expected: []const u8) !void {
        var received: [512]u8 = undefined;
        const length = linux.read(listener.ends[0], &received, received.len);
        const count = if (linux.E.init(length) == .SUCCESS) length else 0;
        try std.testing.expectEqualStrings(expected, received[0..count]);
    }

    fn deinit(listener: *Listener) void {
        for (listener.ends) |fd| _ = linux.close(fd);
    }
};

const no_signals: Signals = .{ .inherited = undefined, .fd = -1 };

test "a signal waits for the daemon to begin, and is known as forwarded then" {
    var listener = try Listener.init();
    defer listener.deinit();
    var outbox = listener.outbox();
    var forwarding: Forwarding = .{ .signals = no_signals };
    for ([_]u8{ linux.SIG.WINCH, linux.SIG.TERM, linux.SIG.WINCH }) |number| {
        try std.testing.expectEqual(null, forwarding.handle(number, &outbox));
    }
    try listener.expect("");
    try std.testing.expect(forwarding.timeout().? > 0);
    try std.testing.expectEqual(null, forwarding.forwardedAs("SIGTERM"));
    forwarding.begin(&outbox);
    try listener.expect(
        \\{"jsonrpc":"2.0","method":"signal","params":{"name":"SIGWINCH"}}
        \\{"jsonrpc":"2.0","method":"signal","params":{"name":"SIGTERM"}}
        \\
    );
    try std.testing.expectEqual(null, forwarding.timeout());
    try std.testing.expectEqual(linux.SIG.TERM, forwarding.forwardedAs("SIGTERM").?);
    try std.testing.expectEqual(null, forwarding.forwardedAs("SIGKILL"));
}

test "the second interrupt ends the shim, and so does what was kept in vain" {
    var listener = try Listener.init();
    defer listener.deinit();
    var outbox = listener.outbox();
    var forwarding: Forwarding = .{ .signals = no_signals };
    try std.testing.expectEqual(null, forwarding.handle(linux.SIG.INT, &outbox));
    try std.testing.expectEqual(linux.SIG.INT, forwarding.handle(linux.SIG.INT, &outbox).?);
    try std.testing.expectEqual(linux.SIG.INT, forwarding.obey().?);
    try std.testing.expectEqual(null, forwarding.handle(linux.SIG.WINCH, &outbox));
    try std.testing.expectEqual(linux.SIG.HUP, forwarding.handle(linux.SIG.HUP, &outbox).?);
}
