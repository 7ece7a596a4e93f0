//! Which server git-lfs means, and where it keeps what is not whole yet: git says both.

const std = @import("std");
const system = @import("system.zig");
const install = @import("install.zig");
const invocation = @import("invocation.zig");
const Git = @import("git_program.zig").Git;

pub const Operation = enum { download, upload };

pub const Place = struct {
    /// Whether the URL is that of a remote of git, or of a server of large files by itself.
    kind: enum { remote, server },
    url: [:0]const u8,
    /// Null for an upload, and where there is no such directory and none can be made.
    temporary: ?[]const u8,
};

pub const Memory = struct {
    git: install.PathBuffer,
    settings: [16 * 1024]u8,
    url: install.PathBuffer,
    name: install.PathBuffer,
    directory: install.PathBuffer,
    temporary: install.PathBuffer,
};

/// Settings that name a server (git-lfs-config(5)). What the repository's own file says gives way to
/// git's configuration.
const pattern = "^(lfs\\.(push)?url|remote\\..*\\.lfs(push)?url)$";
const config_file = ".lfsconfig";

/// `remote` is the name or URL of a remote. Null where there is no git, or it knows no URL.
pub fn find(
    operation: Operation,
    remote: []const u8,
    environment: []const [*:0]const u8,
    memory: *Memory,
) ?Place {
    const search = invocation.find(environment, "PATH") orelse "";
    const git = Git.find(search, @ptrCast(environment.ptr), &memory.git) orelse return null;
    const name = std.fmt.bufPrintZ(&memory.name, "{s}", .{remote}) catch return null;
    const temporary = if (operation == .download) findTemporary(&git, memory) else null;
    if (findServer(&git, operation, name, memory)) |url| {
        return .{ .kind = .server, .url = url, .temporary = temporary };
    }
    const url = findRemote(&git, operation, name, memory) orelse return null;
    return .{ .kind = .remote, .url = url, .temporary = temporary };
}

fn findRemote(git: *const Git, operation: Operation, name: [:0]const u8, memory: *Memory) ?[:0]const u8 {
    if (operation == .upload) {
        const pushed = git.run(&.{ "remote", "get-url", "--push", name }, &memory.settings);
        if (pushed.ok()) return keep(firstLine(pushed.said), &memory.url);
    }
    const found = git.run(&.{ "ls-remote", "--get-url", name }, &memory.settings);
    return if (found.ok()) keep(firstLine(found.said), &memory.url) else null;
}

fn findServer(git: *const Git, operation: Operation, name: []const u8, memory: *Memory) ?[:0]const u8 {
    const own = git.run(&.{ "config", "--get-regexp", pattern }, &memory.settings);
    if (pick(own.said, operation, name)) |url| return keep(url, &memory.url);
    const top = git.run(&.{ "rev-parse", "--show-toplevel" }, &memory.directory);
    const root = firstLine(top.said);
    var buffer: install.PathBuffer = undefined;
    const file = install.joinPath(&buffer, root, config_file) orelse return null;
    if (top.ok() and system.isThere(file)) {
        const words = .{ "config", "--file", file, "--get-regexp", pattern };
        const said = git.run(&words, &memory.settings).said;
        return keep(pick(said, operation, name) orelse return null, &memory.url);
    }
    // While a clone is checked out, and in a repository without a working tree.
    for ([_][*:0]const u8{ ":" ++ config_file, "HEAD:" ++ config_file }) |blob| {
        const words = .{ "config", "--blob", blob, "--get-regexp", pattern };
        const ended = git.run(&words, &memory.settings);
        if (pick(ended.said, operation, name)) |url| return keep(url, &memory.url);
        if (ended.ok()) return null;
    }
    return null;
}

/// The value that counts, of the lines of `git config --get-regexp`.
fn pick(said: []const u8, operation: Operation, remote: []const u8) ?[]const u8 {
    const Kind = enum { push_server, server, push_remote, remote };
    var found: [4]?[]const u8 = @splat(null);
    var lines = std.mem.splitScalar(u8, said, '\n');
    while (lines.next()) |line| {
        const blank = std.mem.indexOfScalar(u8, line, ' ') orelse continue;
        const key = line[0..blank];
        const kind: Kind = if (std.mem.eql(u8, key, "lfs.pushurl"))
            .push_server
        else if (std.mem.eql(u8, key, "lfs.url"))
            .server
        else if (isOf(key, remote, ".lfspushurl"))
            .push_remote
        else if (isOf(key, remote, ".lfsurl"))
            .remote
        else
            continue;
        found[@intFromEnum(kind)] = line[blank + 1 ..];
    }
    for (found, 0..) |value, number| {
        const is_push = number % 2 == 0;
        if (is_push and operation == .download) continue;
        if (value) |url| return url;
    }
    return null;
}

fn isOf(key: []const u8, remote: []const u8, end: []const u8) bool {
    const start = "remote.";
    return key.len == start.len + remote.len + end.len and std.mem.startsWith(u8, key, start) and
        std.mem.endsWith(u8, key, end) and
        std.mem.eql(u8, key[start.len .. start.len + remote.len], remote);
}

fn findTemporary(git: *const Git, memory: *Memory) ?[]const u8 {
    const common = git.run(&.{ "rev-parse", "--git-common-dir" }, &memory.directory);
    if (!common.ok()) return null;
    const directory = firstLine(common.said);
    const named = git.run(&.{ "config", "--path", "--get", "lfs.storage" }, &memory.settings);
    const storage = if (named.ok()) firstLine(named.said) else "lfs";
    var buffers: [2]install.PathBuffer = undefined;
    const base = if (isAbsolute(storage)) "" else directory;
    const here = system.workingDirectory(&memory.temporary) orelse return null;
    const top = if (isAbsolute(storage) or isAbsolute(directory)) "" else here;
    const within = install.joinPath(&buffers[0], base, storage) orelse return null;
    const parent = install.joinPath(&buffers[1], top, within) orelse return null;
    _ = system.makeDirectory(parent);
    const path = install.joinPath(&memory.temporary, parent, "tmp") orelse return null;
    _ = system.makeDirectory(path);
    return if (system.isDirectory(path)) path else null;
}

fn isAbsolute(path: []const u8) bool {
    return std.mem.startsWith(u8, path, "/");
}

fn firstLine(said: []const u8) []const u8 {
    return said[0 .. std.mem.indexOfScalar(u8, said, '\n') orelse said.len];
}

fn keep(text: []const u8, buffer: *install.PathBuffer) ?[:0]const u8 {
    return if (text.len == 0) null else std.fmt.bufPrintZ(buffer, "{s}", .{text}) catch null;
}

test "a server is the one for the operation, and that of a remote is for that alone" {
    const said =
        \\lfs.url https://a/x
        \\lfs.pushurl https://b/x
        \\remote.origin.lfsurl https://c/x
        \\
    ;
    try std.testing.expectEqualStrings("https://a/x", pick(said, .download, "origin").?);
    try std.testing.expectEqualStrings("https://b/x", pick(said, .upload, "origin").?);
    const other = "remote.origin.lfsurl https://c/x\nremote.a.lfspushurl https://d/x\n";
    try std.testing.expectEqualStrings("https://c/x", pick(other, .upload, "origin").?);
    try std.testing.expectEqualStrings("https://d/x", pick(other, .upload, "a").?);
    try std.testing.expectEqual(null, pick(other, .download, "a"));
    try std.testing.expectEqual(null, pick("", .download, "origin"));
}
