//! The shim: a static program that stands in a container under the name of a tool.
//!
//! Called by a tool's name it runs that tool through the daemon (session.zig). Called by its own
//! name it explains itself, or makes the links (install.zig) and has the image's git
//! use it (install_git.zig).

const std = @import("std");
const system = @import("system.zig");
const command_name = @import("command_name.zig");
const exit_status = @import("exit_status.zig");
const init_process = @import("init_process.zig");
const session = @import("session.zig");
const signals = @import("signals.zig");
const stdio = @import("stdio.zig");
const terminal = @import("terminal.zig");
const usage = @import("usage.zig");
const install = @import("install.zig").install;
const install_git = @import("install_git.zig");
const bridge = @import("bridge.zig");
const diagnostics = @import("diagnostics.zig");
const doors = @import("doors.zig");
const entrypoint = @import("entrypoint.zig");
const git_sign = @import("git_sign.zig");
const lfs_agent = @import("lfs_agent.zig");
const mounted = @import("mounted.zig");
const port_stdio = @import("port_stdio.zig");
const socket_module = @import("socket.zig");
const report = diagnostics.report;

pub const std_options: std.Options = .{
    // A closed stdout must end the shim as it ends any other tool.
    .keep_sigpipe = true,
    .enable_segfault_handler = false,
};

pub const panic = std.debug.FullPanic(failInternally);

/// Static and not on the stack, whose size is the caller's choice. Pages that are never touched
/// cost nothing.
var memory: session.Memory = undefined;

pub fn main() u8 {
    const streams = stdio.prepare();
    init_process.endOnSignals();
    const argv: []const [*:0]const u8 = @ptrCast(std.os.argv);
    const name = command_name.fromPath(if (argv.len > 0) std.mem.span(argv[0]) else "");
    const args = if (argv.len > 0) argv[1..] else argv;
    if (name.len == 0 or command_name.isOwn(name)) return explainOrInstall(args);
    if (!command_name.isValid(name)) {
        report(&.{ .{ .plain = "unknown command: " }, .{ .shown = name } });
        diagnostics.advise(.{ .plain = "no command can have this name; call the shim through a " ++
            "link that has the tool's name" });
        return exit_status.unknown_command;
    }
    if (command_name.asksForSettings(name, args)) {
        // git hides what is said, and takes the status 0 for OpenSSH's, with a port and a family.
        report(&.{.{ .plain = "ssh -G shows nothing here: its settings are those of the host" }});
        return 0;
    }
    if (std.mem.eql(u8, name, command_name.git_lfs)) {
        return lfs_agent.run(@ptrCast(std.os.environ), &memory);
    }
    if (std.mem.eql(u8, name, command_name.git_sign)) {
        if (git_sign.run(args, @ptrCast(std.os.environ), &memory)) |status| return status;
    }
    const meaning = command_name.meaningOf(name);
    const invocation: session.Invocation = .{
        .command = meaning.command,
        .first = meaning.first,
        .args = args,
        .environment = @ptrCast(std.os.environ),
        .stdio = streams,
    };
    return session.run(&invocation, invocation.variable("AIRLOCK_SOCKET"), &memory);
}

fn explainOrInstall(args: []const [*:0]const u8) u8 {
    const option = if (args.len > 0) std.mem.span(args[0]) else "--help";
    if (std.mem.eql(u8, option, "--install") and args.len >= 3 and args[1][0] != 0) {
        return install(std.mem.span(args[1]), args[2..], invokedAs());
    }
    if (std.mem.eql(u8, option, "--exec")) switch (mounted.compare(args[1..])) {
        .refused => |status| return status,
        .command => |words| if (words.len > 0) {
            return entrypoint.execute(words, @ptrCast(std.os.environ));
        },
    };
    if (std.mem.eql(u8, option, "--bridge") and args.len == 2) {
        return bridge.run(std.mem.span(args[1]));
    }
    if (std.mem.eql(u8, option, "--connect") and args.len == 2) {
        const port = socket_module.parsePort(std.mem.span(args[1]));
        if (port != 0) return @intFromBool(!port_stdio.run(port));
    }
    if (std.mem.eql(u8, option, "--help") and args.len <= 1) return print(usage.text);
    if (std.mem.eql(u8, option, "--version") and args.len == 1) return print(usage.version_line);
    if (std.mem.eql(u8, option, "--doors") and args.len == 1) {
        return @intFromBool(doors.tell(@ptrCast(std.os.environ), "/tmp"));
    }
    if (std.mem.eql(u8, option, "--install-git") and args.len == 1) {
        return install_git.install(invokedAs(), @ptrCast(std.os.environ));
    }
    if (std.mem.eql(u8, option, "--uninstall-git") and args.len == 1) {
        return install_git.uninstall(invokedAs(), @ptrCast(std.os.environ));
    }
    if (std.mem.eql(u8, option, "--install")) {
        report(&.{.{ .plain = "--install needs a directory and at least one name" }});
    } else if (std.mem.eql(u8, option, "--exec")) {
        report(&.{.{ .plain = "--exec needs a command" }});
    } else {
        report(&.{ .{ .plain = "cannot make sense of: " }, .{ .shown = option } });
    }
    diagnostics.advise(.{ .plain = "airlock-shim --help" });
    return exit_status.usage;
}

fn print(text: []const u8) u8 {
    return switch (system.writeAll(1, text)) {
        .SUCCESS => 0,
        .PIPE => signals.dieOf(system.linux.SIG.PIPE),
        else => exit_status.daemon_failed,
    };
}

/// The path that the kernel was given to run (getauxval(3), AT_EXECFN).
fn invokedAs() []const u8 {
    const address = system.linux.getauxval(std.elf.AT_EXECFN);
    if (address == 0) return "";
    return std.mem.span(@as([*:0]const u8, @ptrFromInt(address)));
}

fn failInternally(message: []const u8, _: ?usize) noreturn {
    terminal.restore();
    report(&.{ .{ .plain = "the shim has a fault: " }, .{ .shown = message } });
    diagnostics.advise(.{ .plain = "please report it, with the command that led to it" });
    system.linux.exit_group(exit_status.daemon_failed);
}
