//! The variables by which a container's tools find their APIs: the daemon writes them into the
//! agent's directory, in `client.env`, a line NAME=VALUE each. None of them is a secret.
//!
//! What the container's environment has stays as it is, in whatever case its name is: tools read
//! both `HTTPS_PROXY` and `https_proxy`.

const std = @import("std");
const system = @import("system.zig");
const Path = @import("socket_path.zig").Path;

/// The port that the daemon writes.
pub const usual_port = 13128;

/// Where the daemon supposes its directory to be mounted, with what follows it in a path.
const usual_directory = "/run/airlock/";

/// The length of the file, and of what is made of it.
const most_bytes = 64 * 1024;

var content: [most_bytes]u8 = undefined;
var storage: [most_bytes]u8 = undefined;

/// The environment with the variables of `directory` that it has not; the same where that has none.
/// Values that name the daemon's usual directory or port name these.
pub fn complete(
    environment: []const [*:0]const u8,
    directory: *const Path,
    port: u16,
) [*:null]const ?[*:0]const u8 {
    const unchanged: [*:null]const ?[*:0]const u8 = @ptrCast(environment.ptr);
    const text = read(directory) orelse return unchanged;
    const most = environment.len + std.mem.count(u8, text, "\n");
    const memory = system.map((most + 1) * @sizeOf(usize)) orelse return unchanged;
    const pointers: [*:null]?[*:0]const u8 = @ptrCast(memory.ptr);
    for (environment, pointers) |entry, *pointer| pointer.* = entry;
    var count = environment.len;
    var writer = std.Io.Writer.fixed(&storage);
    var lines = std.mem.splitScalar(u8, text, '\n');
    while (lines.next()) |line| {
        // What follows the last newline is no whole line.
        if (lines.index == null) break;
        const name = line[0 .. std.mem.indexOfScalar(u8, line, '=') orelse 0];
        if (name.len == 0 or isSet(environment, name)) continue;
        const start = writer.end;
        place(&writer, line, directory, port) catch break;
        pointers[count] = storage[start .. writer.end - 1 :0];
        count += 1;
    }
    return pointers;
}

fn read(directory: *const Path) ?[]const u8 {
    const path = Path.join(&.{ directory.bytes(), "/client.env" }) orelse return null;
    const opened = system.open(path.terminated(), .{ .CLOEXEC = true });
    if (!opened.ok()) return null;
    defer system.close(opened.descriptor());
    var length: usize = 0;
    while (length < content.len) {
        const result = system.read(opened.descriptor(), content[length..]);
        if (!result.ok()) return null;
        if (result.value == 0) break;
        length += result.value;
    }
    return content[0..length];
}

fn isSet(environment: []const [*:0]const u8, name: []const u8) bool {
    for (environment) |pointer| {
        const entry = std.mem.span(pointer);
        if (entry.len <= name.len or entry[name.len] != '=') continue;
        if (std.ascii.eqlIgnoreCase(entry[0..name.len], name)) return true;
    }
    return false;
}

/// Writes a line with a NUL behind it.
fn place(writer: *std.Io.Writer, line: []const u8, directory: *const Path, port: u16) !void {
    const usual_text = std.fmt.comptimePrint("{d}", .{usual_port});
    var rest = line;
    scanning: while (rest.len > 0) {
        if (std.mem.startsWith(u8, rest, usual_directory)) {
            try writer.writeAll(directory.bytes());
            rest = rest[usual_directory.len - 1 ..];
        }
        for ([_][]const u8{ "127.0.0.1:", "proxyPort=" }) |before| {
            if (!std.mem.startsWith(u8, rest, before)) continue;
            if (!std.mem.startsWith(u8, rest[before.len..], usual_text)) continue;
            try writer.print("{s}{d}", .{ before, port });
            rest = rest[before.len + usual_text.len ..];
            continue :scanning;
        }
        try writer.writeByte(rest[0]);
        rest = rest[1..];
    }
    try writer.writeByte(0);
}

test "a line names the directory and the port that there are" {
    var buffer: [256]u8 = undefined;
    const rows = [_][2][]const u8{
        .{ "A=http://127.0.0.1:13128", "A=http://127.0.0.1:4000" },
        .{ "B=/run/airlock/ca.pem", "B=/elsewhere/my/ca.pem" },
        .{
            "C=-Ds=/run/airlock/t.p12 -Dhttps.proxyPort=13128 -Dx=13128 /run/airlockx",
            "C=-Ds=/elsewhere/my/t.p12 -Dhttps.proxyPort=4000 -Dx=13128 /run/airlockx",
        },
        .{ "NO_PROXY=127.0.0.1,::1", "NO_PROXY=127.0.0.1,::1" },
    };
    const directory = Path.join(&.{"/elsewhere/my"}).?;
    for (rows) |row| {
        var writer = std.Io.Writer.fixed(&buffer);
        try place(&writer, row[0], &directory, 4000);
        try std.testing.expectEqualStrings(row[1], buffer[0 .. writer.end - 1]);
    }
}

test "a variable is set in whatever case it is written" {
    const environment = [_][*:0]const u8{ "https_proxy=http://corporate", "NO_PROXY=", "X" };
    for ([_][]const u8{ "HTTPS_PROXY", "https_proxy", "no_proxy" }) |name| {
        try std.testing.expect(isSet(&environment, name));
    }
    for ([_][]const u8{ "HTTP_PROXY", "X", "https_prox" }) |name| {
        try std.testing.expect(!isSet(&environment, name));
    }
}
