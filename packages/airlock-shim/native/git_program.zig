//! The image's own git: found on PATH, and run for what only it can say or change.

const std = @import("std");
const system = @import("system.zig");
const linux = system.linux;
const install = @import("install.zig");

/// The environment that a program is given (environ(7)).
pub const Environment = [*:null]const ?[*:0]const u8;

const most_arguments = 6;

pub const Git = struct {
    path: [:0]const u8,
    environment: Environment,

    /// The first git in the directories of `search`, the value of PATH; null where there is none.
    /// Directories that are not absolute are passed over. `buffer` keeps the path.
    pub fn find(search: []const u8, environment: Environment, buffer: *install.PathBuffer) ?Git {
        var directories = std.mem.splitScalar(u8, search, ':');
        while (directories.next()) |directory| {
            if (!std.mem.startsWith(u8, directory, "/")) continue;
            const path = install.joinPath(buffer, directory, "git") orelse continue;
            if (system.isExecutable(path)) return .{ .path = path, .environment = environment };
        }
        return null;
    }

    /// How a run of it ended, and the beginning of what it wrote to stdout.
    pub const Ended = struct {
        /// Null where it could not be run, or a signal ended it.
        status: ?u8,
        said: []const u8,

        pub fn ok(ended: Ended) bool {
            return ended.status == 0;
        }
    };

    /// Runs git with at most six arguments and waits for it. What it says of faults is seen.
    pub noinline fn run(git: *const Git, args: []const [*:0]const u8, buffer: []u8) Ended {
        const failed: Ended = .{ .status = null, .said = "" };
        var argv: [most_arguments + 2]?[*:0]const u8 = @splat(null);
        argv[0] = git.path;
        for (args, argv[1 .. args.len + 1]) |word, *place| place.* = word;
        var ends: [2]i32 = undefined;
        if (!system.makePipe(&ends)) return failed;
        const child = system.resultOf(linux.fork());
        if (child.ok() and child.value == 0) {
            if (system.resultOf(linux.dup2(ends[1], 1)).ok()) {
                _ = linux.execve(git.path, @ptrCast(&argv), git.environment);
            }
            linux.exit_group(127);
        }
        system.close(ends[1]);
        defer system.close(ends[0]);
        if (!child.ok()) return failed;
        const said = readToEnd(ends[0], buffer);
        return .{ .status = waitFor(@intCast(child.value)), .said = said };
    }

    /// Where it looks for its programs first; null where it does not say. `buffer` keeps it.
    pub fn execPath(git: *const Git, buffer: []u8) ?[]const u8 {
        const ended = git.run(&.{"--exec-path"}, buffer);
        const path = std.mem.trimRight(u8, ended.said, "\n");
        return if (ended.ok() and std.mem.startsWith(u8, path, "/")) path else null;
    }

    /// Whether it is of release `major`.`minor` or newer.
    pub fn isFrom(git: *const Git, major: u32, minor: u32) bool {
        var buffer: [256]u8 = undefined;
        const ended = git.run(&.{"version"}, &buffer);
        const release = readRelease(ended.said) orelse return false;
        if (!ended.ok()) return false;
        return release[0] > major or (release[0] == major and release[1] >= minor);
    }
};

/// What does not fit is read all the same, so that the writer comes to its end.
fn readToEnd(fd: i32, buffer: []u8) []const u8 {
    var length: usize = 0;
    var surplus: [512]u8 = undefined;
    while (true) {
        const room = if (length < buffer.len) buffer[length..] else &surplus;
        const result = system.read(fd, room);
        if (!result.ok() or result.value == 0) return buffer[0..length];
        if (length < buffer.len) length += result.value;
    }
}

fn waitFor(child: i32) ?u8 {
    var status: u32 = undefined;
    while (true) {
        switch (system.resultOf(linux.waitpid(child, &status, 0)).errno) {
            .SUCCESS => return if (linux.W.IFEXITED(status)) linux.W.EXITSTATUS(status) else null,
            .INTR => {},
            else => return null,
        }
    }
}

/// Major and minor of what `git version` prints: `git version 2.39.5 (Apple Git-154)`.
fn readRelease(said: []const u8) ?[2]u32 {
    var words = std.mem.tokenizeAny(u8, said, ". \n-");
    for ([_][]const u8{ "git", "version" }) |expected| {
        if (!std.mem.eql(u8, words.next() orelse return null, expected)) return null;
    }
    var release: [2]u32 = undefined;
    for (&release) |*number| {
        number.* = std.fmt.parseInt(u32, words.next() orelse return null, 10) catch return null;
    }
    return release;
}

test "releases are read as git prints them" {
    try std.testing.expectEqual([2]u32{ 2, 47 }, readRelease("git version 2.47.3\n").?);
    try std.testing.expectEqual([2]u32{ 2, 39 }, readRelease("git version 2.39.5 (Apple)\n").?);
    try std.testing.expectEqual([2]u32{ 3, 0 }, readRelease("git version 3.0-rc1\n").?);
    for ([_][]const u8{ "", "git version", "git version x.1", "gitt version 2.47", "2.47" }) |said| {
        try std.testing.expectEqual(null, readRelease(said));
    }
}

test "what a program says is kept as far as there is room, and its status is its own" {
    const sh: Git = .{ .path = "/bin/sh", .environment = @ptrCast(std.os.environ.ptr) };
    var buffer: [4]u8 = undefined;
    const ended = sh.run(&.{ "-c", "echo 123456789; exit 3" }, &buffer);
    try std.testing.expectEqual(3, ended.status.?);
    try std.testing.expectEqualStrings("1234", ended.said);
    const killed = sh.run(&.{ "-c", "kill -9 $$" }, &buffer);
    try std.testing.expectEqual(null, killed.status);
    const missing: Git = .{ .path = "/nonexistent", .environment = sh.environment };
    try std.testing.expectEqual(127, missing.run(&.{}, &buffer).status.?);
}
