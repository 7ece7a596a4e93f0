//! `airlock-shim --exec COMMAND...`: the entrypoint of a container whose agent has APIs, or docker. It starts
//! the listener that their tools are pointed to, sets the variables that point them there and to tools of the
//! host, and executes the command in its own place.

const std = @import("std");
const system = @import("system.zig");
const endpoint = @import("endpoint.zig");
const error_number = @import("error_number.zig");
const exit_status = @import("exit_status.zig");
const install = @import("install.zig");
const invocation = @import("invocation.zig");
const listener = @import("listener.zig");
const client_environment = @import("client_environment.zig");
const search_path = @import("search_path.zig");
const socket_module = @import("socket.zig");
const unreachable_daemon = @import("unreachable_daemon.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;
const linux = system.linux;

const usual_port = client_environment.usual_port;

/// Becomes the command, or answers the exit status of one that cannot be executed. `words` are those
/// at the end of the process's own, and `environment` is its own.
pub fn execute(words: []const [*:0]const u8, environment: []const [*:0]const u8) u8 {
    search_path.complete(environment);
    const named = invocation.find(environment, "AIRLOCK_SOCKET");
    const port = readPort(environment) orelse return exit_status.daemon_failed;
    var complete: [*:null]const ?[*:0]const u8 = @ptrCast(environment.ptr);
    if (endpoint.findApis(named, .{})) |directory| {
        complete = client_environment.complete(environment, &directory, port);
        if (!listener.start(&directory, port, words)) return exit_status.daemon_failed;
    } else if (endpoint.findSeveral(named, .{})) |outcome| {
        // The command may need no API.
        unreachable_daemon.explain(outcome, named, .{});
    }
    const search = invocation.find(environment, "PATH") orelse
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    return become(@ptrCast(words.ptr), search, complete);
}

fn readPort(environment: []const [*:0]const u8) ?u16 {
    const text = invocation.find(environment, "AIRLOCK_PROXY_PORT") orelse return usual_port;
    if (text.len == 0) return usual_port;
    const port = socket_module.parsePort(text);
    if (port != 0) return port;
    report(&.{ .{ .plain = "the variable AIRLOCK_PROXY_PORT is no port: " }, .{ .shown = text } });
    diagnostics.advise(.{ .plain = "set it to a number from 1024 to 65535, or unset it" });
    return null;
}

/// Executes the first of `argv`, found as execvp(3) finds it, but that a file without a format is no
/// script for a shell: an engine executes none either.
fn become(
    argv: [*:null]const ?[*:0]const u8,
    search: []const u8,
    environment: [*:null]const ?[*:0]const u8,
) u8 {
    const name = std.mem.span(argv[0].?);
    const has_path = std.mem.indexOfScalar(u8, name, '/') != null;
    var failure: system.Errno = .NOENT;
    var reason: ?[]const u8 = null;
    var buffer: install.PathBuffer = undefined;
    var directories = std.mem.splitScalar(u8, if (has_path) "" else search, ':');
    while (directories.next()) |directory| {
        const base = if (has_path) "" else if (directory.len > 0) directory else ".";
        const path = install.joinPath(&buffer, base, name) orelse continue;
        switch (system.resultOf(linux.execve(path, argv, environment)).errno) {
            .NOENT => if (system.isThere(path)) {
                reason = "the loader or interpreter that it names is missing";
            },
            .NOTDIR => {},
            .ACCES => failure = .ACCES,
            else => |errno| {
                failure = errno;
                break;
            },
        }
    }
    report(&.{
        .{ .plain = "cannot execute " },
        .{ .shown = name },
        .{ .plain = ": " },
        .{ .plain = reason orelse error_number.describe(failure) },
    });
    diagnostics.advise(.{ .plain = "name a program of this image, by its path or as PATH leads to it" });
    return if (failure == .NOENT) exit_status.unknown_command else exit_status.denied;
}
