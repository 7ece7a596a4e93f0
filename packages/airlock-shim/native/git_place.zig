//! What has the image's git reach its remotes by the shim: links, and settings of git's system
//! configuration, of which some are for git-lfs, and some for signing.

const std = @import("std");
const system = @import("system.zig");
const installing = @import("install.zig");
const Git = @import("git_program.zig").Git;
const git_helper = @import("git_helper.zig");

/// A setting of git's, and the value that it gets.
pub const Setting = struct { name: [:0]const u8, value: [:0]const u8 };

/// What the system's configuration has for a setting.
pub const State = union(enum) {
    absent,
    ours,
    /// Another value, as git printed it.
    other: []const u8,
    unreadable,
};

/// How many settings there are, and where those of ssh, of git-lfs and of signing begin.
pub const setting_count = 9;
pub const group_starts = [_]usize{ 0, 2, 7 };

/// How many links stand beside the shim.
pub const link_count = 3;

/// Where the paths of a place are, and the values of its settings.
pub const Memory = struct {
    own: installing.PathBuffer,
    links: [link_count]installing.PathBuffer,
    git: installing.PathBuffer,
    exec_path: installing.PathBuffer,
    helpers: [2]git_helper.Memory,
    value: [setting_count]installing.PathBuffer,
};

pub const Place = struct {
    git: Git,
    own_path: [:0]const u8,
    /// Of git's ssh, of the transfer agent of git-lfs, and of what signs.
    links: [link_count][:0]const u8,
    exec_path: []const u8,
    helpers: [2]git_helper.Helper,

    pub noinline fn settings(place: *const Place) [setting_count]Setting {
        return .{
            .{ .name = "core.sshCommand", .value = place.links[0] },
            // Else git asks the shim what it is, by options that the daemon does not take.
            .{ .name = "ssh.variant", .value = "ssh" },
            .{ .name = "lfs.customtransfer.airlock.path", .value = place.links[1] },
            .{ .name = "lfs.standalonetransferagent", .value = "airlock" },
            // A repository on this machine needs no daemon.
            .{ .name = "lfs.file:///.standalonetransferagent", .value = "lfs-standalone-file" },
            // What the agent does not do: git-lfs would look for a server by itself.
            .{ .name = "lfs.sshtransfer", .value = "never" },
            .{ .name = "lfs.locksverify", .value = "false" },
            // Only a git whose gpg.format is ssh calls it.
            .{ .name = "gpg.ssh.program", .value = place.links[2] },
            .{ .name = "gpg.ssh.defaultKeyCommand", .value = place.links[2] },
        };
    }

    /// What is set now; `buffer` keeps it.
    pub fn look(place: *const Place, setting: Setting, buffer: []u8) State {
        const words = .{ "config", "--system", "--null", "--get-all", setting.name };
        const ended = place.git.run(&words, buffer);
        if (ended.status == 1) return .absent;
        if (!ended.ok()) return .unreadable;
        const value = ended.said[0 .. std.mem.indexOfScalar(u8, ended.said, 0) orelse 0];
        const is_only = value.len + 1 == ended.said.len;
        if (is_only and std.mem.eql(u8, value, setting.value)) return .ours;
        return .{ .other = value };
    }

    pub noinline fn set(place: *const Place, setting: Setting) bool {
        return place.git.run(&.{ "config", "--system", setting.name, setting.value }, &.{}).ok();
    }

    pub noinline fn unset(place: *const Place, setting: Setting) bool {
        return place.git.run(&.{ "config", "--system", "--unset-all", setting.name }, &.{}).ok();
    }

    /// Removes the exec path where nothing is in it, as in an image whose git is a single file.
    pub fn removeExecPath(place: *const Place) void {
        var buffer: installing.PathBuffer = undefined;
        const path = installing.joinPath(&buffer, "", place.exec_path) orelse return;
        _ = system.removeDirectory(path);
    }

    /// Whether a link is there, and one to the shim.
    pub noinline fn hasLink(place: *const Place, link: [:0]const u8) bool {
        var buffer: installing.PathBuffer = undefined;
        return system.readLink(link, &buffer) != null and
            installing.isSameFile(link, place.own_path);
    }
};
