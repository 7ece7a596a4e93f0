//! The container's end of a bridge: carries connections to the sockets of an agent where no socket of
//! the host reaches a container. Many streams of bytes pass over this program's stdin and stdout, in
//! frames that PROTOCOL.md describes; the daemon has the other end.
//!
//! It listens in a directory, a volume that the agent's containers mount read-only, at the sockets that
//! the daemon names, and writes the files there that the daemon sends. It decides nothing and keeps
//! nothing: all tables have a fixed size, and are mapped once. Pages that are never touched cost
//! nothing, and those of a stream's buffer go back to the kernel with it.
//!
//! A stream's credit bounds what waits for its client, so that stdin can always be read, and one client
//! that takes nothing holds up no other. Of `outgoing` a part is kept for frames without data.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const error_number = @import("error_number.zig");
const diagnostics = @import("diagnostics.zig");
const exit_status = @import("exit_status.zig");
const Path = @import("socket_path.zig").Path;
const report = diagnostics.report;
const linux = system.linux;
const POLL = linux.POLL;

const most_streams = 1024;
const most_sockets = 4;
const window = 256 * 1024;
/// What may be sent to the daemon on a new stream; it grants more, up to a window.
const first_credit = 8 * 1024;
const piece = 32 * 1024;
const most_name = 64;
const greeting = "airlock-bridge 1";

/// What frames without data need of `outgoing`, at most: END, CLOSE, and for a full window four times
/// CREDIT, of each stream; and the answer to one frame more.
const reserve = most_streams * 64 + 64;

/// How long until the next try where the table of descriptors is full, if nothing else happens.
const pause_ms = 20;

const Kind = enum(u16) { hello, open, data, end, close, credit, ping, pong, _ };

/// Little endian, as are all processors that the shim is built for.
const Header = extern struct { stream: u32, kind: Kind, length: u16 };

const Stream = struct {
    /// 0 where the place is free.
    number: u32,
    /// -1 once it is closed, while the daemon's CLOSE is still to come.
    fd: i32,
    /// What may be sent to the daemon.
    credit: u32,
    /// What the client has taken, and the daemon was not yet granted again.
    owed: u32,
    /// What waits for the client, in a ring.
    start: u32,
    length: u32,
    /// The client sends no more, and END was sent.
    is_read: bool,
    /// The daemon sends no more.
    is_ended: bool,
    /// The daemon neither sends nor takes more.
    is_closed: bool,
    /// The client takes no more; what comes for it is dropped.
    is_deaf: bool,

    /// What poll(2) is to wait for; null where it could only tell what is of no use yet.
    fn interest(stream: *const Stream, can_send: bool) ?i16 {
        var events: i16 = 0;
        if (stream.length > 0) events |= POLL.OUT;
        // Without credit its end is still to be seen.
        if (!stream.is_read and !stream.is_closed and stream.credit > 0) {
            if (can_send) events |= POLL.IN else if (events == 0) return null;
        }
        return events;
    }
};

const Socket = struct { fd: i32 = -1, name: Path = undefined };

const Memory = struct {
    /// At the start of a page, so that their pages can be given back.
    buffers: [most_streams][window]u8 align(std.heap.page_size_min),
    streams: [most_streams]Stream,
    incoming: [window]u8,
    outgoing: [1024 * 1024]u8,
    poll: [2 + most_sockets + most_streams]linux.pollfd,
    /// The stream of each place of `poll`, behind those of the sockets.
    polled: [most_streams]u16,
};

/// Serves in `directory` until stdin ends, and answers the exit status.
pub noinline fn run(directory: []const u8) u8 {
    const memory = system.map(@sizeOf(Memory)) orelse return failIn(directory, .NOMEM);
    var bridge: Bridge = .{ .memory = @ptrCast(@alignCast(memory)), .directory = directory };
    // Its pipe is ours alone: the engine has the other end.
    const flags = linux.fcntl(1, linux.F.GETFL, 0);
    _ = linux.fcntl(1, linux.F.SETFL, flags | @as(u32, @bitCast(linux.O{ .NONBLOCK = true })));
    bridge.put(0, .hello, greeting);
    while (bridge.status == null) bridge.step();
    return bridge.status.?;
}

const Bridge = struct {
    memory: *Memory,
    directory: []const u8,
    sockets: [most_sockets]Socket = @splat(.{}),
    /// The exit status, once there is nothing more to do.
    status: ?u8 = null,
    received: usize = 0,
    /// What of `outgoing` is still to be written.
    written: usize = 0,
    filled: usize = 0,
    open: usize = 0,
    next_number: u32 = 1,
    /// Where the next round begins, so that each stream has its turn.
    turn: usize = 0,
    is_greeted: bool = false,
    /// Whether the table of descriptors had no room for a client.
    is_full: bool = false,
    last_file: u32 = 0,
    /// The file that is being received; -1 for none.
    file: i32 = -1,
    file_name: Path = undefined,
    file_size: usize = 0,

    fn step(bridge: *Bridge) void {
        const memory = bridge.memory;
        const can_send = bridge.room() > piece + @sizeOf(Header);
        const can_accept = can_send and bridge.open < most_streams;
        memory.poll[0] = .{
            .fd = if (bridge.received < memory.incoming.len) 0 else -1,
            .events = POLL.IN,
            .revents = 0,
        };
        memory.poll[1] = .{
            .fd = if (bridge.written < bridge.filled) 1 else -1,
            .events = POLL.OUT,
            .revents = 0,
        };
        // poll(2) takes no more places than the limit of descriptors, so that none may be unused.
        var listening: [most_sockets]*const Socket = undefined;
        var first: usize = 2;
        for (&bridge.sockets) |*socket| {
            if (socket.fd < 0 or !can_accept or bridge.is_full) continue;
            listening[first - 2] = socket;
            memory.poll[first] = .{ .fd = socket.fd, .events = POLL.IN, .revents = 0 };
            first += 1;
        }
        const count = bridge.addStreams(can_send, first);
        const slots = memory.poll[0 .. first + count];
        const result = linux.poll(slots.ptr, slots.len, if (bridge.is_full) pause_ms else -1);
        bridge.is_full = false;
        if (!system.resultOf(result).ok()) return;
        if (slots[0].revents != 0) bridge.receive();
        for (slots[first..], memory.polled[0..count]) |slot, place| {
            const stream = &memory.streams[place];
            // The daemon may just have closed it.
            if (slot.revents != 0 and slot.fd == stream.fd) bridge.advance(stream, slot.revents);
        }
        // Last, since a new client may get the descriptor and the place of one that has gone, and
        // must not get its events.
        for (listening[0 .. first - 2], slots[2..first]) |socket, slot| {
            // A greeting may just have closed it.
            if (slot.revents != 0 and slot.fd == socket.fd) bridge.accept(socket);
        }
        bridge.turn += 1;
        bridge.flush();
        // What found no room before.
        bridge.obeyAll();
        bridge.flush();
    }

    fn addStreams(bridge: *Bridge, can_send: bool, first: usize) usize {
        const memory = bridge.memory;
        var count: usize = 0;
        for (0..most_streams) |offset| {
            const place = (bridge.turn + offset) % most_streams;
            const stream = &memory.streams[place];
            if (stream.number == 0 or stream.fd < 0) continue;
            const events = stream.interest(can_send) orelse continue;
            memory.polled[count] = @intCast(place);
            memory.poll[first + count] = .{ .fd = stream.fd, .events = events, .revents = 0 };
            count += 1;
        }
        return count;
    }

    fn advance(bridge: *Bridge, stream: *Stream, events: i16) void {
        if (stream.length > 0) bridge.deliver(stream);
        if (stream.fd < 0) return;
        if (events & (POLL.IN | POLL.HUP | POLL.ERR) == 0) return;
        // Nobody is left who would read, and what was sent has come; or the daemon takes no more of
        // it, and has to learn that its client has gone.
        if (stream.is_read or stream.is_closed or stream.credit == 0) {
            if (events & (POLL.HUP | POLL.ERR) != 0) bridge.close(stream);
        } else bridge.read(stream);
    }

    /// Sends one piece of what the client has sent.
    fn read(bridge: *Bridge, stream: *Stream) void {
        const most = @min(piece, stream.credit);
        if (most == 0 or bridge.room() < most + @sizeOf(Header)) return;
        const place = bridge.memory.outgoing[bridge.filled + @sizeOf(Header) ..][0..most];
        const result = socket_module.receive(stream.fd, place);
        if (result.errno == .AGAIN) return;
        if (!result.ok()) return bridge.close(stream);
        if (result.value == 0) {
            stream.is_read = true;
            return bridge.put(stream.number, .end, "");
        }
        stream.credit -= @intCast(result.value);
        // The bytes are in their place.
        bridge.put(stream.number, .data, place[0..result.value]);
        // The daemon may wait until it can write, and read no more before that.
        if (stream.is_deaf and stream.credit == 0) bridge.close(stream);
    }

    /// Gives the client what waits for it, as far as it takes that.
    fn deliver(bridge: *Bridge, stream: *Stream) void {
        const buffer = bridge.bufferOf(stream);
        while (stream.length > 0) {
            const end = @min(stream.start + stream.length, window);
            const result = socket_module.send(stream.fd, buffer[stream.start..end]);
            if (result.errno == .AGAIN) break;
            if (!result.ok()) return bridge.deafen(stream);
            const taken: u32 = @intCast(result.value);
            stream.start = (stream.start + taken) % window;
            stream.length -= taken;
            stream.owed += taken;
        }
        if (stream.owed >= window / 4 and !stream.is_ended and !stream.is_closed) {
            bridge.put(stream.number, .credit, std.mem.asBytes(&stream.owed));
            stream.owed = 0;
        }
        if (stream.length > 0) return;
        if (stream.is_closed) return bridge.close(stream);
        if (stream.is_ended) _ = linux.shutdown(stream.fd, linux.SHUT.WR);
    }

    /// The client takes no more, but what it has sent before is still to be read.
    fn deafen(bridge: *Bridge, stream: *Stream) void {
        stream.is_deaf = true;
        stream.length = 0;
        if (stream.is_read or stream.is_closed or stream.credit == 0) bridge.close(stream);
    }

    /// Ends a stream for its client, and says so.
    fn close(bridge: *Bridge, stream: *Stream) void {
        // A socket that is closed with unread bytes in it resets the connection.
        _ = linux.shutdown(stream.fd, linux.SHUT.RD);
        var unread: [4096]u8 = undefined;
        while (true) {
            const result = socket_module.receive(stream.fd, &unread);
            if (!result.ok() or result.value == 0) break;
        }
        system.close(stream.fd);
        stream.fd = -1;
        const buffer = bridge.bufferOf(stream);
        _ = linux.madvise(buffer, buffer.len, linux.MADV.DONTNEED);
        bridge.put(stream.number, .close, "");
        if (stream.is_closed) bridge.forget(stream);
    }

    fn forget(bridge: *Bridge, stream: *Stream) void {
        stream.number = 0;
        bridge.open -= 1;
    }

    fn accept(bridge: *Bridge, socket: *const Socket) void {
        while (bridge.open < most_streams and bridge.room() > most_name + @sizeOf(Header)) {
            const flags = linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC;
            const result = system.resultOf(linux.accept4(socket.fd, null, null, flags));
            if (result.errno == .CONNABORTED or result.errno == .INTR) continue;
            if (!result.ok()) {
                bridge.is_full = result.errno != .AGAIN;
                return;
            }
            const stream = bridge.find(0).?;
            stream.* = std.mem.zeroes(Stream);
            stream.number = bridge.next_number;
            stream.fd = result.descriptor();
            stream.credit = first_credit;
            bridge.open += 1;
            bridge.put(stream.number, .open, socket.name.bytes());
            // A new bridge has numbers of its own.
            bridge.next_number +%= 2;
            if (bridge.next_number == 1) {
                bridge.status = 0;
                return;
            }
            bridge.read(stream);
        }
    }

    fn receive(bridge: *Bridge) void {
        const result = system.read(0, bridge.memory.incoming[bridge.received..]);
        if (result.errno == .AGAIN) return;
        // The daemon has ended, or does not want this bridge any more.
        if (!result.ok() or result.value == 0) bridge.status = bridge.status orelse 0;
        bridge.received += result.value * @intFromBool(result.ok());
        bridge.obeyAll();
    }

    /// Obeys all whole frames, as long as there is room for answers.
    fn obeyAll(bridge: *Bridge) void {
        const incoming = &bridge.memory.incoming;
        var at: usize = 0;
        while (bridge.status == null and bridge.room() > 0) {
            const rest = incoming[at..bridge.received];
            if (rest.len < @sizeOf(Header)) break;
            const header = @as(*align(1) const Header, @ptrCast(rest.ptr)).*;
            const size = @sizeOf(Header) + @as(usize, header.length);
            // What is no frame is not waited for.
            const is_frame = header.length <= piece and
                @intFromEnum(header.kind) <= @intFromEnum(Kind.pong);
            if (rest.len < size and is_frame) break;
            if (!is_frame or !bridge.obey(&header, rest[@sizeOf(Header)..size])) {
                bridge.status = failBroken();
                return;
            }
            at += size;
        }
        if (at == 0) return;
        bridge.received -= at;
        std.mem.copyForwards(u8, incoming, incoming[at..][0..bridge.received]);
    }

    /// Answers whether the frame is one that may come now.
    fn obey(bridge: *Bridge, header: *const Header, payload: []const u8) bool {
        if (header.kind == .hello) return bridge.greet(payload);
        if (!bridge.is_greeted) return false;
        switch (header.kind) {
            .ping => {
                if (payload.len > 8) return false;
                bridge.put(0, .pong, payload);
                return true;
            },
            .pong => return true,
            .open => return bridge.openFile(header.stream, payload),
            else => {},
        }
        if (header.stream == bridge.last_file and bridge.file >= 0) {
            return bridge.writeFile(header, payload);
        }
        if (header.stream == 0) return false;
        const stream = bridge.find(header.stream) orelse {
            // The daemon answers CLOSE for a file that is complete.
            return header.stream == bridge.last_file and header.kind == .close;
        };
        if (stream.is_closed) return false;
        switch (header.kind) {
            .data => {
                if (stream.is_ended or payload.len == 0) return false;
                if (payload.len > window - stream.length - stream.owed) return false;
                bridge.keep(stream, payload);
            },
            .end => {
                if (stream.is_ended or payload.len != 0) return false;
                stream.is_ended = true;
                if (stream.fd >= 0) bridge.deliver(stream);
            },
            .close => {
                stream.is_closed = true;
                if (stream.fd < 0) bridge.forget(stream) else bridge.deliver(stream);
            },
            .credit => {
                if (payload.len != 4) return false;
                const count = std.mem.readInt(u32, payload[0..4], .little);
                if (count == 0 or count > window - stream.credit) return false;
                stream.credit += count;
            },
            else => return false,
        }
        return true;
    }

    fn keep(bridge: *Bridge, stream: *Stream, payload: []const u8) void {
        const count: u32 = @intCast(payload.len);
        if (stream.fd < 0 or stream.is_deaf) return;
        const buffer = bridge.bufferOf(stream);
        const end = (stream.start + stream.length) % window;
        const first = @min(count, window - end);
        @memcpy(buffer[end..][0..first], payload[0..first]);
        @memcpy(buffer[0 .. count - first], payload[first..]);
        stream.length += count;
        bridge.deliver(stream);
    }

    /// Listens at the sockets that the greeting names, and at no others.
    fn greet(bridge: *Bridge, payload: []const u8) bool {
        var words = std.mem.tokenizeScalar(u8, payload, ' ');
        if (!std.mem.startsWith(u8, payload, greeting)) return false;
        _ = words.next();
        if (!std.mem.eql(u8, words.next().?, greeting["airlock-bridge ".len..])) {
            return false;
        }
        bridge.is_greeted = true;
        for (&bridge.sockets) |*socket| {
            if (socket.fd < 0 or isNamed(payload, socket.name.bytes())) continue;
            system.close(socket.fd);
            socket.fd = -1;
            if (bridge.pathOf("/", socket.name.bytes())) |path| _ = system.remove(path.terminated());
        }
        while (words.next()) |name| {
            if (!isName(name)) return false;
            if (bridge.isListening(name)) continue;
            const free = for (&bridge.sockets) |*socket| {
                if (socket.fd < 0) break socket;
            } else return false;
            const made = bridge.listen(name);
            if (!made.ok()) {
                bridge.status = failIn(bridge.directory, made.errno);
                return true;
            }
            free.* = .{ .fd = made.descriptor(), .name = Path.join(&.{name}).? };
        }
        return true;
    }

    fn isListening(bridge: *const Bridge, name: []const u8) bool {
        for (&bridge.sockets) |*socket| {
            if (socket.fd >= 0 and std.mem.eql(u8, socket.name.bytes(), name)) return true;
        }
        return false;
    }

    /// The socket takes the place of an earlier bridge's in one step, when all can connect to it.
    fn listen(bridge: *const Bridge, name: []const u8) system.Result {
        const too_long: system.Result = .{ .value = 0, .errno = .NAMETOOLONG };
        const hidden = bridge.pathOf("/.", name) orelse return too_long;
        const path = bridge.pathOf("/", name) orelse return too_long;
        const made = socket_module.createNonBlocking();
        if (!made.ok()) return made;
        const address = hidden.address();
        _ = system.remove(hidden.terminated());
        const size = @sizeOf(linux.sockaddr.un);
        var done = system.resultOf(linux.bind(made.descriptor(), @ptrCast(&address), size));
        if (done.ok()) done = system.resultOf(linux.chmod(hidden.terminated(), 0o666));
        if (done.ok()) {
            done = system.resultOf(linux.listen(made.descriptor(), socket_module.backlog));
        }
        if (done.ok()) done.errno = system.rename(hidden.terminated(), path.terminated());
        return if (done.ok()) made else done;
    }

    /// Every file may be executed, since the shim is one of them.
    fn openFile(bridge: *Bridge, number: u32, name: []const u8) bool {
        if (number != bridge.last_file +% 2 or bridge.file >= 0) return false;
        if (!isName(name) or bridge.isListening(name)) return false;
        bridge.last_file = number;
        bridge.file_size = 0;
        bridge.file_name = Path.join(&.{name}).?;
        const hidden = bridge.pathOf("/.", name) orelse return false;
        const flags: linux.O = .{
            .ACCMODE = .WRONLY,
            .CREAT = true,
            .TRUNC = true,
            .NOFOLLOW = true,
            .CLOEXEC = true,
        };
        const result = system.resultOf(linux.open(hidden.terminated(), flags, 0o755));
        if (result.ok()) bridge.file = result.descriptor() else bridge.failFile(result.errno);
        return true;
    }

    /// A file takes its place when it is complete; one without bytes is removed.
    fn writeFile(bridge: *Bridge, header: *const Header, payload: []const u8) bool {
        switch (header.kind) {
            .data => {
                const errno = system.writeAll(bridge.file, payload);
                if (errno != .SUCCESS) bridge.failFile(errno);
                bridge.file_size += payload.len;
                const count: u32 = header.length;
                if (count > 0) bridge.put(header.stream, .credit, std.mem.asBytes(&count));
                return true;
            },
            .end => {},
            else => return false,
        }
        system.close(bridge.file);
        bridge.file = -1;
        const hidden = bridge.pathOf("/.", bridge.file_name.bytes()).?;
        const path = bridge.pathOf("/", bridge.file_name.bytes()).?;
        var errno = system.Errno.SUCCESS;
        if (bridge.file_size > 0) {
            errno = system.rename(hidden.terminated(), path.terminated());
        } else {
            _ = system.remove(hidden.terminated());
            errno = system.remove(path.terminated());
            if (errno == .NOENT) errno = .SUCCESS;
        }
        if (errno != .SUCCESS) bridge.failFile(errno);
        bridge.put(header.stream, .close, "");
        return true;
    }

    fn failFile(bridge: *Bridge, errno: system.Errno) void {
        bridge.status = failIn(bridge.directory, errno);
    }

    fn pathOf(bridge: *const Bridge, between: []const u8, name: []const u8) ?Path {
        return Path.join(&.{ bridge.directory, between, name });
    }

    /// The stream of this number; the first free place for 0.
    noinline fn find(bridge: *Bridge, number: u32) ?*Stream {
        for (&bridge.memory.streams) |*stream| {
            if (stream.number == number) return stream;
        }
        return null;
    }

    fn bufferOf(bridge: *Bridge, stream: *Stream) *[window]u8 {
        const offset = @intFromPtr(stream) - @intFromPtr(&bridge.memory.streams);
        return &bridge.memory.buffers[offset / @sizeOf(Stream)];
    }

    /// How many bytes of `outgoing` are free beside the reserve.
    fn room(bridge: *const Bridge) usize {
        return (bridge.memory.outgoing.len - reserve) -| bridge.filled;
    }

    noinline fn put(bridge: *Bridge, number: u32, kind: Kind, payload: []const u8) void {
        const place = bridge.memory.outgoing[bridge.filled..];
        const header: Header = .{ .stream = number, .kind = kind, .length = @intCast(payload.len) };
        @memcpy(place[0..@sizeOf(Header)], std.mem.asBytes(&header));
        const body = place[@sizeOf(Header)..][0..payload.len];
        if (body.ptr != payload.ptr) @memcpy(body, payload);
        bridge.filled += @sizeOf(Header) + payload.len;
    }

    fn flush(bridge: *Bridge) void {
        const outgoing = &bridge.memory.outgoing;
        while (bridge.written < bridge.filled) {
            const result = system.write(1, outgoing[bridge.written..bridge.filled]);
            if (result.errno == .AGAIN) break;
            if (!result.ok()) {
                bridge.status = bridge.status orelse 0;
                return;
            }
            bridge.written += result.value;
        }
        // A copy for each half of the buffer, not for each frame.
        if (bridge.written < bridge.filled and bridge.written < outgoing.len / 2) return;
        const left = bridge.filled - bridge.written;
        std.mem.copyForwards(u8, outgoing, outgoing[bridge.written..][0..left]);
        bridge.written = 0;
        bridge.filled = left;
    }
};

/// A name without a slash or a dot in front, so that it stays in the directory.
fn isName(name: []const u8) bool {
    if (name.len == 0 or name.len > most_name) return false;
    for (name, 0..) |character, nth| switch (character) {
        'a'...'z' => {},
        '0'...'9', '.', '_', '-' => if (nth == 0) return false,
        else => return false,
    };
    return true;
}

fn isNamed(payload: []const u8, name: []const u8) bool {
    var words = std.mem.tokenizeScalar(u8, payload, ' ');
    while (words.next()) |word| {
        if (std.mem.eql(u8, word, name)) return true;
    }
    return false;
}

fn failBroken() u8 {
    report(&.{.{ .plain = "the other end does not speak the protocol of a bridge" }});
    diagnostics.advise(.{ .plain = "have the daemon start this, from an image of its own release" });
    return exit_status.daemon_failed;
}

noinline fn failIn(directory: []const u8, errno: system.Errno) u8 {
    report(&.{
        .{ .plain = "cannot serve an agent's sockets in " },
        .{ .shown = directory },
        .{ .plain = ": " },
        .{ .plain = error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = "mount a volume there in which this user may make files" });
    return exit_status.daemon_failed;
}

test "a name stays in the directory" {
    for ([_][]const u8{ "airlock.sock", "ca-bundle.pem", "truststore.p12", "a" ** 64 }) |name| {
        try std.testing.expect(isName(name));
    }
    for ([_][]const u8{ "", ".", "..", "../a", "a/b", ".lock", "A", "a b", "a\x00", "a" ** 65 }) |name| {
        try std.testing.expect(!isName(name));
    }
}

test "a socket is named by a whole word of the greeting" {
    const payload = "airlock-bridge 1 airlock.sock https.sock";
    try std.testing.expect(isNamed(payload, "https.sock"));
    try std.testing.expect(!isNamed(payload, "lock.sock"));
}

test "a stream waits for nothing that is of no use" {
    var stream = std.mem.zeroes(Stream);
    try std.testing.expectEqual(0, stream.interest(true));
    stream.credit = 1;
    try std.testing.expectEqual(POLL.IN, stream.interest(true));
    try std.testing.expectEqual(null, stream.interest(false));
    stream.length = 1;
    try std.testing.expectEqual(POLL.OUT, stream.interest(false));
    stream.is_read = true;
    try std.testing.expectEqual(POLL.OUT, stream.interest(true));
    stream.length = 0;
    try std.testing.expectEqual(0, stream.interest(true));
}
