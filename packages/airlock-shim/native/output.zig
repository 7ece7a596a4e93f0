//! What the tool wrote, on its way to our own stdout and stderr.
//!
//! It is gathered in one buffer of fixed size and delivered when there is much of it, when the
//! other stream comes up (so that the order stays that of the daemon), and before anything is
//! waited for (so that nothing that arrived is held back).
//!
//! Of a message whose data comes before the members that say what it is, the data is held at the
//! end of the buffer until these are known.

const std = @import("std");
const base64 = @import("base64.zig");
const json_string = @import("json_string.zig");

pub const Stream = enum(i32) {
    stdout = 1,
    stderr = 2,

    /// The stream that the protocol calls so.
    pub fn named(name: []const u8) ?Stream {
        return std.meta.stringToEnum(Stream, name);
    }
};

/// How much of it is delivered at a time.
const batch = 256 * 1024;

/// The size of a buffer that holds 4 MiB of a message after what is to be delivered before it.
pub const buffer_size = batch + 4 * 1024 * 1024;

pub const Output = struct {
    /// Its pages beyond the first batch are touched only for what is held.
    buffer: []u8,
    context: *anyopaque,
    /// Writes all of the bytes to the stream.
    deliver: *const fn (context: *anyopaque, stream: Stream, bytes: []const u8) void,
    stream: Stream = .stdout,
    length: usize = 0,
    /// What comes after this is held.
    settled: usize = 0,
    holding: Holding = .nothing,
    /// Whether more came than could be held.
    overflowed: bool = false,
    surplus: [json_string.minimum_room]u8 = undefined,

    const Holding = enum {
        nothing,
        /// It is text for the selected stream unless it turns out to be encoded. Where it gets too
        /// long to be held it is taken for text.
        likely_text,
        /// Where it goes is not known.
        undirected,
    };

    /// Where what is committed from now on goes.
    pub fn select(output: *Output, stream: Stream) void {
        if (output.stream == stream) return;
        output.flush();
        output.stream = stream;
    }

    /// Holds what is committed from now on, until it is released or dropped.
    pub fn hold(output: *Output, holding: Holding) void {
        output.holding = holding;
        output.overflowed = false;
    }

    /// Room for at least `json_string.minimum_room` bytes, until the next call that changes
    /// anything.
    pub fn window(output: *Output) []u8 {
        const room = json_string.minimum_room;
        if (output.holding == .nothing) {
            const end = @min(batch, output.buffer.len);
            if (output.length + room > end) output.flush();
            return output.buffer[output.length..end];
        }
        if (output.length + room > output.buffer.len) output.flush();
        if (output.length + room <= output.buffer.len) return output.buffer[output.length..];
        output.overflowed = true;
        if (output.holding == .undirected) return &output.surplus;
        output.holding = .nothing;
        output.settle();
        return output.window();
    }

    /// Keeps the first `count` bytes of the window.
    pub fn commit(output: *Output, count: usize) void {
        const is_lost = output.overflowed and output.holding == .undirected;
        if (!is_lost) output.length += count;
        if (output.holding == .nothing) output.settled = output.length;
    }

    /// What is held is text for `stream`.
    pub fn release(output: *Output, stream: Stream) void {
        output.select(stream);
        output.holding = .nothing;
        output.settle();
    }

    /// What is held is base64 for `stream`.
    pub fn releaseDecoded(output: *Output, stream: Stream) base64.Error!void {
        output.select(stream);
        output.holding = .nothing;
        const held = output.buffer[output.settled..output.length];
        var decoder: base64.Decoder = .{};
        const count = try decoder.decode(held, held);
        if (!decoder.isComplete()) return error.Malformed;
        output.length = output.settled + count;
        output.settle();
    }

    /// Forgets what is held.
    pub fn drop(output: *Output) void {
        output.holding = .nothing;
        output.length = output.settled;
    }

    fn settle(output: *Output) void {
        output.settled = output.length;
        if (output.length >= batch) output.flush();
    }

    /// Delivers all but what is held.
    pub fn flush(output: *Output) void {
        if (output.settled == 0) return;
        output.deliver(output.context, output.stream, output.buffer[0..output.settled]);
        const held = output.buffer[output.settled..output.length];
        std.mem.copyForwards(u8, output.buffer[0..held.len], held);
        output.length = held.len;
        output.settled = 0;
    }
};

/// Collects what is delivered, with a mark where the stream changes; for tests.
pub const Collected = struct {
    bytes: [512]u8 = undefined,
    length: usize = 0,
    stream: Stream = .stdout,

    pub fn output(collected: *Collected, buffer: []u8) Output {
        return .{ .buffer = buffer, .context = collected, .deliver = deliver };
    }

    pub fn text(collected: *const Collected) []const u8 {
        return collected.bytes[0..collected.length];
    }

    fn deliver(context: *anyopaque, stream: Stream, bytes: []const u8) void {
        const collected: *Collected = @ptrCast(@alignCast(context));
        if (stream != collected.stream) collected.append(if (stream == .stdout) "<" else ">");
        collected.stream = stream;
        collected.append(bytes);
    }

    fn append(collected: *Collected, bytes: []const u8) void {
        @memcpy(collected.bytes[collected.length..][0..bytes.len], bytes);
        collected.length += bytes.len;
    }
};

fn put(output: *Output, text: []const u8) void {
    for (text) |character| {
        output.window()[0] = character;
        output.commit(1);
    }
}

test "held data goes where it turns out to belong, and the rest does not wait for it" {
    var collected: Collected = .{};
    var buffer: [64]u8 = undefined;
    var output = collected.output(&buffer);
    put(&output, "a");
    output.hold(.undirected);
    put(&output, "Yg==");
    output.flush();
    try std.testing.expectEqualStrings("a", collected.text());
    try output.releaseDecoded(.stderr);
    output.hold(.likely_text);
    put(&output, "c");
    output.release(.stderr);
    output.hold(.undirected);
    put(&output, "x");
    output.drop();
    output.select(.stdout);
    put(&output, "d");
    output.flush();
    try std.testing.expectEqualStrings("a>bc<d", collected.text());
}

test "what cannot be held any longer is text, or lost where its stream is unknown" {
    var collected: Collected = .{};
    var buffer: [64]u8 = undefined;
    var output = collected.output(&buffer);
    output.hold(.likely_text);
    put(&output, "x" ** 100);
    try std.testing.expect(output.overflowed);
    output.flush();
    try std.testing.expectEqualStrings("x" ** 100, collected.text());
    output.hold(.undirected);
    put(&output, "y" ** 100);
    try std.testing.expect(output.overflowed);
    output.drop();
    output.flush();
    try std.testing.expectEqualStrings("x" ** 100, collected.text());
}
