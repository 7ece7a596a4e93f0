//! One of the programs in git's exec path that reach its remotes (gitremote-helpers(7)), and the
//! shim in its place.

const std = @import("std");
const system = @import("system.zig");
const command_name = @import("command_name.zig");
const installing = @import("install.zig");

/// What the name of a program that gives way begins with. git takes no such name for a command's.
const kept_prefix = ".before-airlock.";

pub const Memory = struct { path: installing.PathBuffer, kept: installing.PathBuffer };

pub const Helper = struct {
    path: [:0]const u8,
    /// Where that is which stood there before.
    kept: [:0]const u8,
    own_path: [:0]const u8,

    /// `directory` is git's exec path, `own_path` the shim's. Null where the paths do not fit.
    pub fn of(
        directory: []const u8,
        name: []const u8,
        own_path: [:0]const u8,
        memory: *Memory,
    ) ?Helper {
        var buffer: [64]u8 = undefined;
        const kept = std.fmt.bufPrint(&buffer, kept_prefix ++ "{s}", .{name}) catch return null;
        return .{
            .path = installing.joinPath(&memory.path, directory, name) orelse return null,
            .kept = installing.joinPath(&memory.kept, directory, kept) orelse return null,
            .own_path = own_path,
        };
    }

    /// Whether git finds this shim there: by a link, or mounted.
    pub fn isInPlace(helper: *const Helper) bool {
        return installing.isSameFile(helper.path, helper.own_path);
    }

    /// Whether `install` made what is there, be it with the shim at another path. A link that only
    /// leads to one that it made is another's.
    pub fn isOwn(helper: *const Helper) bool {
        var buffer: installing.PathBuffer = undefined;
        const text = system.readLink(helper.path, &buffer) orelse return false;
        return std.mem.eql(u8, text, helper.own_path) or
            command_name.isOwn(command_name.fromPath(text));
    }

    /// Makes the link; what is in its place is kept, as it is.
    pub fn install(helper: *const Helper) system.Errno {
        if (helper.isOwn()) {
            _ = system.remove(helper.path);
        } else if (system.isThere(helper.path)) {
            const errno = system.rename(helper.path, helper.kept);
            if (errno != .SUCCESS) return errno;
        }
        const errno = system.makeSymlink(helper.own_path, helper.path);
        if (errno != .SUCCESS) _ = system.rename(helper.kept, helper.path);
        return errno;
    }

    pub const Left = enum {
        nothing,
        /// A link where there was nothing before.
        link,
        /// What was there before.
        kept,
        /// The same, and in its place another program that was installed since.
        outdated,
    };

    /// What is still there of an install.
    pub fn left(helper: *const Helper) Left {
        const is_free = helper.isOwn() or !system.isThere(helper.path);
        if (helper.hasKept()) return if (is_free) .kept else .outdated;
        return if (helper.isOwn()) .link else .nothing;
    }

    /// Undoes what is left.
    pub fn uninstall(helper: *const Helper, what: Left) system.Errno {
        return switch (what) {
            .nothing => .SUCCESS,
            .link => system.remove(helper.path),
            .kept => system.rename(helper.kept, helper.path),
            .outdated => system.remove(helper.kept),
        };
    }

    pub fn hasKept(helper: *const Helper) bool {
        return system.isThere(helper.kept);
    }
};

const expectEqual = std.testing.expectEqual;
const expectEqualStrings = std.testing.expectEqualStrings;
const success = system.Errno.SUCCESS;

const Scene = struct {
    temporary: std.testing.TmpDir,
    buffer: [std.fs.max_path_bytes]u8 = undefined,
    shim: installing.PathBuffer = undefined,
    memory: [2]Memory = undefined,
    helpers: [2]Helper = undefined,

    /// An exec path with Debian's layout: the second name is a program, the first a link to it.
    /// The shim is there too.
    fn lay(scene: *Scene) !void {
        const root = try scene.temporary.dir.realpath(".", &scene.buffer);
        try scene.temporary.dir.writeFile(.{ .sub_path = command_name.own, .data = "shim" });
        const own_path = installing.joinPath(&scene.shim, root, command_name.own).?;
        for (command_name.git_helpers, &scene.helpers, &scene.memory) |name, *helper, *memory| {
            helper.* = Helper.of(root, name, own_path, memory).?;
        }
        try scene.temporary.dir.writeFile(.{ .sub_path = "git-remote-http", .data = "curl" });
        try scene.temporary.dir.symLink("git-remote-http", "git-remote-https", .{});
    }

    fn expectLaid(scene: *Scene) !void {
        var buffer: [64]u8 = undefined;
        const dir = scene.temporary.dir;
        try expectEqualStrings("git-remote-http", try dir.readLink("git-remote-https", &buffer));
        try expectEqualStrings("curl", try dir.readFile("git-remote-http", &buffer));
        for (scene.helpers) |helper| try std.testing.expect(!helper.hasKept());
    }
};

test "links and programs come back as they were, in either order" {
    for ([_][2]usize{ .{ 0, 1 }, .{ 1, 0 } }) |order| {
        var scene: Scene = .{ .temporary = std.testing.tmpDir(.{}) };
        defer scene.temporary.cleanup();
        try scene.lay();
        for (order) |nth| {
            try std.testing.expect(!scene.helpers[nth].isOwn());
            try expectEqual(success, scene.helpers[nth].install());
        }
        for (scene.helpers) |helper| try std.testing.expect(helper.isOwn() and helper.isInPlace());
        for (order) |nth| try expectEqual(success, scene.helpers[nth].uninstall(.kept));
        try scene.expectLaid();
    }
}

test "a shim that has moved takes its own place, and what was kept stays kept" {
    var scene: Scene = .{ .temporary = std.testing.tmpDir(.{}) };
    defer scene.temporary.cleanup();
    try scene.lay();
    for (scene.helpers) |helper| try expectEqual(success, helper.install());
    const moved = command_name.own ++ "-linux-x86_64";
    try scene.temporary.dir.rename(command_name.own, moved);
    var buffer: installing.PathBuffer = undefined;
    const directory = std.fs.path.dirname(scene.helpers[0].path).?;
    const own_path = installing.joinPath(&buffer, directory, moved).?;
    for (&scene.helpers) |*helper| {
        helper.own_path = own_path;
        try std.testing.expect(helper.isOwn() and !helper.isInPlace());
        try expectEqual(success, helper.install());
        try std.testing.expect(helper.isInPlace());
    }
    for (scene.helpers) |helper| try expectEqual(success, helper.uninstall(helper.left()));
    try scene.expectLaid();
}

test "of a program that was installed anew since, only what was kept is left" {
    var scene: Scene = .{ .temporary = std.testing.tmpDir(.{}) };
    defer scene.temporary.cleanup();
    try scene.lay();
    const helper = &scene.helpers[1];
    try expectEqual(Helper.Left.nothing, helper.left());
    try expectEqual(success, helper.install());
    try expectEqual(Helper.Left.kept, helper.left());
    const dir = scene.temporary.dir;
    try dir.writeFile(.{ .sub_path = "newer", .data = "newer" });
    try dir.rename("newer", "git-remote-http");
    try expectEqual(Helper.Left.outdated, helper.left());
    // Made again, it is the newer one that is kept.
    try expectEqual(success, helper.install());
    try expectEqual(success, helper.uninstall(helper.left()));
    var buffer: [64]u8 = undefined;
    try expectEqualStrings("newer", try dir.readFile("git-remote-http", &buffer));
    try expectEqual(Helper.Left.nothing, helper.left());
}
