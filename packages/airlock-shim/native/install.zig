//! `airlock-shim --install DIR NAME...`: makes DIR/NAME a link to the shim for each name.

const std = @import("std");
const system = @import("system.zig");
const error_number = @import("error_number.zig");
const command_name = @import("command_name.zig");
const exit_status = @import("exit_status.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

pub const PathBuffer = [std.fs.max_path_bytes]u8;

/// Makes the links, and the directory where it is missing. A link that is there already stays;
/// anything else of that name stays too and is reported. Answers the shim's exit status.
///
/// `invoked_as` is the path that the kernel was given to run, for where /proc is not mounted.
pub fn install(directory: []const u8, names: []const [*:0]const u8, invoked_as: []const u8) u8 {
    for (names) |name| if (!isInstallable(std.mem.span(name))) {
        report(&.{
            .{ .plain = "no command can be called \"" },
            .{ .shown = std.mem.span(name) },
            .{ .plain = "\"" },
        });
        diagnostics.advise(.{ .plain = "a name has letters, digits, . _ and -, begins with one " ++
            "of the first two, and is not the shim's own" });
        return exit_status.usage;
    };
    var own_buffer: PathBuffer = undefined;
    const own_path = findOwn(invoked_as, &own_buffer) orelse return exit_status.install_failed;
    if (!makeDirectories(directory)) return exit_status.install_failed;
    const target = linkTarget(own_path, directory);
    var status: u8 = 0;
    for (names) |name| if (!makeLink(directory, std.mem.span(name), own_path, target)) {
        status = exit_status.install_failed;
    };
    return status;
}

fn isInstallable(name: []const u8) bool {
    return command_name.isValid(name) and !command_name.isOwn(name);
}

/// The absolute path of this program; null where it cannot be told, which is reported.
pub fn findOwn(invoked_as: []const u8, buffer: *PathBuffer) ?[:0]const u8 {
    if (ownPath(invoked_as, buffer)) |path| return path;
    report(&.{.{ .plain = "cannot tell where this program is" }});
    diagnostics.advise(.{ .plain = "mount /proc, or call the shim by its full path" });
    return null;
}

fn ownPath(invoked_as: []const u8, buffer: *PathBuffer) ?[:0]const u8 {
    if (system.readLink("/proc/self/exe", buffer[0 .. buffer.len - 1])) |path| {
        buffer[path.len] = 0;
        const terminated = buffer[0..path.len :0];
        if (system.identify(terminated) != null) return terminated;
    }
    var directory: PathBuffer = undefined;
    const path = if (std.mem.startsWith(u8, invoked_as, "/"))
        joinPath(buffer, "", invoked_as)
    else path: {
        const base = system.workingDirectory(&directory) orelse return null;
        const below = if (std.mem.startsWith(u8, invoked_as, "./")) invoked_as[2..] else invoked_as;
        break :path joinPath(buffer, base, below);
    };
    return if (system.identify(path orelse return null) != null) path else null;
}

/// What the links say: the bare name when they stand beside the shim, so that the directory can
/// be mounted anywhere as a whole; its absolute path otherwise.
fn linkTarget(own_path: [:0]const u8, directory: []const u8) [:0]const u8 {
    const name = command_name.fromPath(own_path);
    const name_start = own_path.len - name.len;
    var buffer: PathBuffer = undefined;
    const beside = joinPath(&buffer, directory, name) orelse return own_path;
    return if (isSameFile(beside, own_path)) own_path[name_start..] else own_path;
}

fn makeLink(
    directory: []const u8,
    name: []const u8,
    own_path: [:0]const u8,
    target: [:0]const u8,
) bool {
    var buffer: PathBuffer = undefined;
    const path = joinPath(&buffer, directory, name) orelse {
        reportFailure(directory, .NAMETOOLONG);
        return false;
    };
    switch (system.makeSymlink(target, path)) {
        .SUCCESS => return true,
        .EXIST => {
            if (isSameFile(path, own_path)) return true;
            report(&.{
                .{ .shown = path },
                .{ .plain = " is there already and is no link to this shim" },
            });
            diagnostics.advise(.{ .plain = "remove it, or choose a directory that comes earlier " ++
                "in PATH" });
            return false;
        },
        else => |errno| {
            reportFailure(path, errno);
            return false;
        },
    }
}

/// Makes a directory, and those above it, where they are missing. What it cannot make it reports.
pub fn makeDirectories(directory: []const u8) bool {
    var buffer: PathBuffer = undefined;
    const path = joinPath(&buffer, directory, "") orelse {
        reportFailure(directory, .NAMETOOLONG);
        return false;
    };
    var failure: system.Errno = .NOTDIR;
    for (path[1..], 1..) |byte, at| if (byte == '/') {
        buffer[at] = 0;
        defer buffer[at] = '/';
        switch (system.makeDirectory(buffer[0..at :0])) {
            .SUCCESS, .EXIST => {},
            // The first says why; those below it only that their parent is missing.
            else => |errno| if (failure == .NOTDIR) {
                failure = errno;
            },
        }
    };
    if (system.isDirectory(path)) return true;
    reportFailure(directory, failure);
    return false;
}

fn reportFailure(path: []const u8, errno: system.Errno) void {
    report(&.{
        .{ .plain = "cannot make " },
        .{ .shown = path },
        .{ .plain = ": " },
        .{ .plain = error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = "choose a directory in which this user can make links" });
}

/// Whether both paths lead to one file.
pub noinline fn isSameFile(path: [:0]const u8, other: [:0]const u8) bool {
    const one = system.identify(path) orelse return false;
    return one.isSameFile(system.identify(other) orelse return false);
}

/// `base`/`name` with a NUL behind it, or `name` where `base` is empty; null when it does not fit.
pub noinline fn joinPath(buffer: *PathBuffer, base: []const u8, name: []const u8) ?[:0]const u8 {
    const separator = if (base.len == 0 or std.mem.endsWith(u8, base, "/")) "" else "/";
    return std.fmt.bufPrintZ(buffer, "{s}{s}{s}", .{ base, separator, name }) catch null;
}

test "a path is joined with one separator and a NUL" {
    var buffer: PathBuffer = undefined;
    try std.testing.expectEqualStrings("/bin/git", joinPath(&buffer, "/bin", "git").?);
    try std.testing.expectEqualStrings("/shim", joinPath(&buffer, "", "/shim").?);
    try std.testing.expectEqualStrings("/shim", joinPath(&buffer, "/", "shim").?);
    try std.testing.expectEqual(null, joinPath(&buffer, "x" ** 4096, "git"));
}

test "neither the shim's own name nor what no command can be called is installable" {
    try std.testing.expect(isInstallable("git"));
    try std.testing.expect(!isInstallable("airlock-shim"));
    try std.testing.expect(!isInstallable("a/b"));
}
