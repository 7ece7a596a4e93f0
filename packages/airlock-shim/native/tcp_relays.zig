//! Relays each connection that comes to a listening TCP socket to a socket of the daemon, byte for
//! byte and both ways, until the process that it serves has ended. Those of the proxy's port go to
//! the daemon's HTTPS socket; those of a docker container's published port (published_ports.zig) go
//! to its socket for docker, after a head that names the port.
//!
//! One process waits for all of them (epoll(7)). A descriptor is watched only for what its relays can
//! use at that moment, and not at all where that is nothing: epoll reports a hang-up whatever it is
//! asked for, and would do so without end. Each direction has a buffer of its own, whose pages go back
//! to the kernel with the connection.
//!
//! What one end closes for writing is closed for the other end. When the daemon takes no more, the
//! client's bytes are read and dropped: closing a TCP socket with unread bytes in it resets the
//! connection, and the client could lose the answer that was sent before.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const error_number = @import("error_number.zig");
const unreachable_daemon = @import("unreachable_daemon.zig");
const diagnostics = @import("diagnostics.zig");
const published_ports = @import("published_ports.zig");
const Path = @import("socket_path.zig").Path;
const PublishedPorts = published_ports.PublishedPorts;
const Relay = @import("relay.zig").Relay;
const linux = system.linux;
const EPOLL = linux.EPOLL;

/// As many as a daemon takes of one agent, unless it is configured otherwise.
const most = 1024;

const buffer_size = 64 * 1024;

/// How long until the next try where the daemon's queue or the table of descriptors is full.
const pause_ms = 20;

/// All that the relays need beside the stack. It is zero at first, and what is never used takes no
/// memory.
pub const Memory = struct {
    connections: [most]Connection,
    buffers: [most][2][buffer_size]u8,
};

const Side = enum(u1) { client, daemon };

const Connection = struct {
    is_used: bool,
    /// The daemon takes no more; what the client sends is dropped.
    is_dropping: bool,
    /// -1 once it is closed.
    fds: [2]i32,
    /// What epoll watches of each.
    watched: [2]u32,
    /// From the client to the daemon, and back.
    relays: [2]Relay,

    fn wanted(connection: *const Connection, side: Side) u32 {
        var events: u32 = 0;
        if (connection.is_dropping) {
            if (side == .client and connection.relays[0].is_open) events = EPOLL.IN;
        } else events = wantedBy(&connection.relays[0], connection.fds[@intFromEnum(side)]);
        return events | wantedBy(&connection.relays[1], connection.fds[@intFromEnum(side)]);
    }

    fn wantedBy(relay: *const Relay, fd: i32) u32 {
        if (!relay.is_open) return 0;
        const interest = relay.interest();
        // The two events have the same numbers for poll and for epoll.
        return if (interest.fd == fd) @intCast(interest.events) else 0;
    }
};

/// What an event is about. The lower half is a descriptor, or twice a connection's number and its side.
const Subject = enum(u32) { served, listener, successors, successor, connection, ports };

pub const Relays = struct {
    memory: *Memory,
    /// Bound, listening, and non-blocking: the proxy's first, then those of published ports. -1 for
    /// none.
    listeners: [1 + published_ports.most]i32,
    ports: PublishedPorts,
    /// A listening unix socket, to which processes connect that would follow this one.
    successors: i32,
    /// The pidfd of the process after whose end all is over; -1 where the kernel sees to that.
    served: i32,
    /// The daemon's socket.
    path: *const Path,
    epoll: i32 = -1,
    is_accepting: bool = false,
    /// A connection for which the daemon's queue had no room, and its port; -1 for none.
    waiting: i32 = -1,
    waiting_port: u16 = 0,

    /// Relays until the served process has ended.
    pub fn run(relays: *Relays) void {
        const created = system.resultOf(linux.epoll_create1(linux.EPOLL.CLOEXEC));
        if (!created.ok()) return;
        relays.epoll = created.descriptor();
        if (relays.served >= 0) relays.watch(EPOLL.CTL_ADD, relays.served, EPOLL.IN, .served, 0);
        if (relays.successors >= 0) {
            relays.watch(EPOLL.CTL_ADD, relays.successors, EPOLL.IN, .successors, 0);
        }
        var events: [64]linux.epoll_event = undefined;
        while (true) {
            relays.resumeAccepting();
            const timeout = if (relays.is_accepting) relays.openPorts() else pause_ms;
            const count = system.resultOf(linux.epoll_wait(relays.epoll, &events, events.len, timeout));
            if (!count.ok()) {
                if (count.errno == .INTR) continue;
                return;
            }
            for (events[0..count.value]) |event| {
                const subject: Subject = @enumFromInt(event.data.u64 >> 32);
                const number: u32 = @truncate(event.data.u64);
                switch (subject) {
                    .served => return,
                    .listener => relays.accept(number),
                    .ports => relays.obeyPorts(),
                    .successors => relays.acceptSuccessor(),
                    .successor => system.close(@intCast(number)),
                    .connection => relays.serve(number >> 1, @enumFromInt(number & 1), event.events),
                }
            }
        }
    }

    noinline fn watch(relays: *Relays, operation: u32, fd: i32, events: u32, subject: Subject, number: u32) void {
        const data = @as(u64, @intFromEnum(subject)) << 32 | number;
        var event: linux.epoll_event = .{ .events = events, .data = .{ .u64 = data } };
        _ = linux.epoll_ctl(relays.epoll, operation, fd, &event);
    }

    fn resumeAccepting(relays: *Relays) void {
        if (relays.waiting >= 0) {
            const client = relays.waiting;
            relays.waiting = -1;
            relays.admit(client, relays.waiting_port);
        }
        if (relays.is_accepting or relays.waiting >= 0) return;
        relays.is_accepting = true;
        relays.watchListeners(EPOLL.CTL_ADD);
    }

    fn stopAccepting(relays: *Relays) void {
        relays.is_accepting = false;
        relays.watchListeners(EPOLL.CTL_DEL);
    }

    fn watchListeners(relays: *Relays, operation: u32) void {
        for (relays.listeners, 0..) |fd, number| {
            if (fd >= 0) relays.watch(operation, fd, EPOLL.IN, .listener, @intCast(number));
        }
    }

    fn accept(relays: *Relays, listener: u32) void {
        while (relays.is_accepting) {
            if (relays.findFree() == null) return relays.stopAccepting();
            const fd = relays.listeners[listener];
            const accepted = system.resultOf(
                linux.accept4(fd, null, null, linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK),
            );
            switch (accepted.errno) {
                .SUCCESS => relays.admit(
                    accepted.descriptor(),
                    if (listener == 0) 0 else relays.ports.numbers[listener - 1],
                ),
                // It was closed by an event that was reported together with this one.
                .AGAIN, .BADF => return,
                .MFILE, .NFILE, .NOBUFS, .NOMEM => return relays.stopAccepting(),
                // The connection was given up before it was accepted.
                else => {},
            }
        }
    }

    /// Connects a client to the daemon, answers that there is none, or has it wait for room. `port` is
    /// the published one, or 0.
    noinline fn admit(relays: *Relays, client: i32, port: u16) void {
        const number = relays.findFree() orelse return system.close(client);
        const path = if (port == 0) relays.path else &relays.ports.path;
        const daemon = socket_module.connectNonBlocking(path);
        switch (daemon.errno) {
            .SUCCESS => relays.begin(number, client, daemon.descriptor(), port),
            // All of these pass by themselves.
            .AGAIN, .MFILE, .NFILE, .NOBUFS, .NOMEM => {
                relays.waiting = client;
                relays.waiting_port = port;
                if (relays.is_accepting) relays.stopAccepting();
            },
            else => |errno| {
                // It may speak any protocol.
                if (port != 0) return system.close(client);
                relays.begin(number, client, -1, 0);
                answerUnreachable(client, relays.path, errno);
            },
        }
    }

    /// Has the daemon tell which ports are published, if it does not. Answers how long to wait for an
    /// event until the next try (epoll_wait(2)).
    fn openPorts(relays: *Relays) i32 {
        const fd = relays.ports.open() orelse return relays.ports.timeout();
        relays.watch(EPOLL.CTL_ADD, fd, EPOLL.IN, .ports, 0);
        return -1;
    }

    fn obeyPorts(relays: *Relays) void {
        const fresh = relays.ports.obey(relays.listeners[1..]);
        if (!relays.is_accepting) return;
        for (relays.listeners[1..], 1..) |fd, number| {
            // Of those that are watched already nothing changes.
            if (fresh and fd >= 0) relays.watch(EPOLL.CTL_ADD, fd, EPOLL.IN, .listener, @intCast(number));
        }
    }

    /// One that is free; else one whose client is only waited for to close its end.
    fn findFree(relays: *Relays) ?u32 {
        for (&relays.memory.connections, 0..) |*connection, number| {
            if (!connection.is_used) return @intCast(number);
        }
        for (&relays.memory.connections, 0..) |*connection, number| {
            if (!connection.is_dropping or connection.relays[1].is_open) continue;
            relays.end(@intCast(number));
            return @intCast(number);
        }
        return null;
    }

    noinline fn begin(relays: *Relays, number: u32, client: i32, daemon: i32, port: u16) void {
        const buffers = &relays.memory.buffers[number];
        const connection = &relays.memory.connections[number];
        const has_daemon = daemon >= 0;
        socket_module.enable(client, linux.IPPROTO.TCP, linux.TCP.NODELAY);
        connection.* = .{
            .is_used = true,
            .is_dropping = !has_daemon,
            .fds = .{ client, daemon },
            .watched = .{ 0, 0 },
            .relays = .{
                .{
                    .source = .{ .fd = client, .kind = .socket },
                    .destination = .{ .fd = daemon, .kind = .socket },
                    .buffer = &buffers[0],
                    .end = if (port == 0) 0 else published_ports.writeHead(&buffers[0], port),
                    .is_open = true,
                },
                .{
                    .source = .{ .fd = daemon, .kind = .socket },
                    .destination = .{ .fd = client, .kind = .socket },
                    .buffer = &buffers[1],
                    .head = if (port == 0) .passed else .line,
                    .is_open = has_daemon,
                },
            },
        };
        relays.update(number);
    }

    fn end(relays: *Relays, number: u32) void {
        const connection = &relays.memory.connections[number];
        for (connection.fds) |fd| if (fd >= 0) system.close(fd);
        connection.is_used = false;
        connection.is_dropping = false;
        const buffers = std.mem.asBytes(&relays.memory.buffers[number]);
        _ = linux.madvise(buffers, buffers.len, linux.MADV.DONTNEED);
    }

    fn serve(relays: *Relays, number: u32, side: Side, events: u32) void {
        const connection = &relays.memory.connections[number];
        // An event that was reported together with what ended the connection.
        if (!connection.is_used) return;
        const fd = connection.fds[@intFromEnum(side)];
        const is_over = events & (EPOLL.HUP | EPOLL.ERR) != 0;
        const down = &connection.relays[1];
        if (side == .client and is_over and down.is_open) return relays.end(number);
        if (Connection.wantedBy(down, fd) != 0) switch (down.step()) {
            .done => {},
            .ended => {
                down.is_open = false;
                _ = linux.shutdown(connection.fds[0], linux.SHUT.WR);
                if (side == .daemon and is_over) connection.is_dropping = true;
            },
            .unread, .failed => return relays.end(number),
        };
        const up = &connection.relays[0];
        if (connection.is_dropping) {
            if (side == .client) drop(up);
        } else if (Connection.wantedBy(up, fd) != 0) switch (up.step()) {
            .done => {},
            .ended => {
                up.is_open = false;
                _ = linux.shutdown(connection.fds[1], linux.SHUT.WR);
            },
            .unread, .failed => connection.is_dropping = true,
        };
        if (!up.is_open and !down.is_open) return relays.end(number);
        if (connection.is_dropping and !down.is_open and connection.fds[1] >= 0) {
            system.close(connection.fds[1]);
            connection.fds[1] = -1;
            connection.watched[1] = 0;
        }
        relays.update(number);
    }

    /// Has epoll watch what the connection can use now.
    fn update(relays: *Relays, number: u32) void {
        const connection = &relays.memory.connections[number];
        for (connection.fds, &connection.watched, 0..) |fd, *watched, side| {
            if (fd < 0) continue;
            const wanted = connection.wanted(@enumFromInt(side));
            if (wanted == watched.*) continue;
            const operation: u32 = if (wanted == 0)
                EPOLL.CTL_DEL
            else if (watched.* == 0) EPOLL.CTL_ADD else EPOLL.CTL_MOD;
            relays.watch(operation, fd, wanted, .connection, number << 1 | @as(u32, @intCast(side)));
            watched.* = wanted;
        }
    }

    /// It is watched until it ends, which closes it, and never spoken to.
    fn acceptSuccessor(relays: *Relays) void {
        const accepted = system.resultOf(linux.accept4(relays.successors, null, null, linux.SOCK.CLOEXEC));
        if (accepted.ok()) {
            const fd = accepted.descriptor();
            relays.watch(EPOLL.CTL_ADD, fd, EPOLL.RDHUP, .successor, @intCast(fd));
        } else if (accepted.errno != .AGAIN) {
            relays.watch(EPOLL.CTL_DEL, relays.successors, 0, .successors, 0);
        }
    }
};

/// Reads what the client sends, for nobody.
fn drop(up: *Relay) void {
    const result = up.source.read(up.buffer);
    if (result.errno == .AGAIN) return;
    if (!result.ok() or result.value == 0) up.is_open = false;
}

/// Answers a client's CONNECT. Most clients show no more of it than its first line.
fn answerUnreachable(client: i32, path: *const Path, errno: system.Errno) void {
    var text: [1024]u8 = undefined;
    var body = std.Io.Writer.fixed(&text);
    diagnostics.format(&body, &.{
        .{ .plain = "cannot reach the daemon: " },
        .{ .plain = error_number.describe(errno) },
    }) catch unreachable;
    const hint = unreachable_daemon.hintFor(path, errno);
    diagnostics.format(&body, &.{ .{ .plain = "hint: " }, .{ .plain = hint } }) catch unreachable;
    var head: [256]u8 = undefined;
    const written = std.fmt.bufPrint(&head, "HTTP/1.1 502 airlock: cannot reach the daemon\r\n" ++
        "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n" ++
        "Content-Length: {d}\r\n\r\n", .{body.end}) catch unreachable;
    _ = socket_module.send(client, written);
    _ = socket_module.send(client, body.buffered());
    _ = linux.shutdown(client, linux.SHUT.WR);
}
