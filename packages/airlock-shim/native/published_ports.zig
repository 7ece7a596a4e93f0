//! The ports of the agent's docker containers, at the loopback of its own container.
//!
//! The daemon tells over a connection to `docker.sock` which they are, a line `ports NUMBER...` each
//! time, and has for each line one back: those at which nothing can listen. For a connection to a port
//! another one to `docker.sock` is opened, with a head that names the port.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const Path = @import("socket_path.zig").Path;
const linux = system.linux;

/// The most ports that are listened at.
pub const most = 64;

/// How long until the daemon is asked again, once it has gone.
const pause_ms = 1000;

const switching = " HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

/// Writes the head of a connection to a port, and answers its length.
pub noinline fn writeHead(buffer: []u8, port: u16) usize {
    const head = "POST /airlock/connect?port={d}" ++ switching;
    return (std.fmt.bufPrint(buffer, head, .{port}) catch unreachable).len;
}

pub const PublishedPorts = struct {
    /// The daemon's socket for docker. Its length is 0 if there is none, so that there are no ports.
    path: Path,
    numbers: [most]u16 = @splat(0),
    stream: i32 = -1,
    next_try_ms: i64 = 0,
    line: [512]u8 = undefined,
    length: usize = 0,

    /// Those of the agent in whose directory `socket` lies.
    pub fn beside(socket: *const Path) PublishedPorts {
        const none = Path.join(&.{}).?;
        const path = Path.join(&.{ socket.parent().bytes(), "/docker.sock" }) orelse none;
        return .{ .path = if (system.isThere(path.terminated())) path else none };
    }

    /// How many milliseconds until it can be opened; -1 for never.
    pub fn timeout(ports: *const PublishedPorts) i32 {
        if (ports.path.length == 0 or ports.stream >= 0) return -1;
        return @intCast(@max(ports.next_try_ms - system.now(), 0));
    }

    /// Asks the daemon, if it is time for that; answers the connection.
    pub noinline fn open(ports: *PublishedPorts) ?i32 {
        if (ports.timeout() != 0) return null;
        ports.next_try_ms = system.now() + pause_ms;
        const connected = socket_module.connectNonBlocking(&ports.path);
        if (!connected.ok()) return null;
        ports.stream = connected.descriptor();
        ports.length = 0;
        _ = socket_module.send(ports.stream, "POST /airlock/ports" ++ switching);
        return ports.stream;
    }

    /// Reads what the daemon says, and opens and closes `listeners` accordingly, which are -1 for none.
    /// Answers whether there are new ones.
    pub noinline fn obey(ports: *PublishedPorts, listeners: *[most]i32) bool {
        const result = socket_module.receive(ports.stream, ports.line[ports.length..]);
        if (result.errno == .AGAIN) return false;
        // A line that is too long also finds no room.
        if (!result.ok() or result.value == 0) {
            system.close(ports.stream);
            ports.stream = -1;
            ports.next_try_ms = system.now() + pause_ms;
            _ = ports.listen("", listeners);
            return false;
        }
        ports.length += result.value;
        var is_any = false;
        var start: usize = 0;
        while (std.mem.indexOfScalarPos(u8, ports.line[0..ports.length], start, '\n')) |end| {
            const line = ports.line[start..end];
            start = end + 1;
            // Others are those of the answer's head.
            if (!std.mem.startsWith(u8, line, "ports")) continue;
            is_any = ports.listen(line, listeners) or is_any;
        }
        ports.length -= start;
        std.mem.copyForwards(u8, &ports.line, ports.line[start..][0..ports.length]);
        return is_any;
    }

    /// Listens at the ports of a line alone, and tells the daemon those at which it cannot.
    noinline fn listen(ports: *PublishedPorts, line: []const u8, listeners: *[most]i32) bool {
        var wanted: [most]u16 = @splat(0);
        var words = std.mem.tokenizeScalar(u8, line, ' ');
        _ = words.next();
        for (&wanted) |*port| {
            port.* = socket_module.parsePort(words.next() orelse break);
        }
        for (listeners, &ports.numbers) |*fd, *number| {
            if (fd.* < 0) continue;
            if (std.mem.indexOfScalar(u16, &wanted, number.*)) |same| {
                wanted[same] = 0;
            } else {
                system.close(fd.*);
                fd.* = -1;
            }
        }
        var answer: [512]u8 = undefined;
        var writer = std.Io.Writer.fixed(&answer);
        var is_any = false;
        for (wanted) |port| {
            if (port == 0) continue;
            const free = std.mem.indexOfScalar(i32, listeners, -1).?;
            const made = socket_module.listenAtLoopback(port);
            if (made.ok()) {
                listeners[free] = made.descriptor();
                ports.numbers[free] = port;
                is_any = true;
            } else writer.print("{d} ", .{port}) catch unreachable;
        }
        writer.writeByte('\n') catch unreachable;
        if (ports.stream >= 0) _ = socket_module.send(ports.stream, writer.buffered());
        return is_any;
    }
};
