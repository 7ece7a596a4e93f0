//! `airlock-shim --install-git`: has the image's own git reach its remotes by the shim. As its ssh
//! it is the link `git-ssh` beside the shim, by two settings of git's system configuration; in git's
//! exec path links to it stand in the place of what reaches remotes over https and http. For git-lfs
//! it is the link `git-lfs-agent`, by five more settings, and what signs by ssh keys is the link
//! `git-sign`, by two.
//! `--uninstall-git` takes away what that made, puts back what was there, and touches nothing else.
//!
//! git itself says where its exec path is, and reads and writes the configuration: both have
//! another place in each distribution.

const std = @import("std");
const system = @import("system.zig");
const command_name = @import("command_name.zig");
const exit_status = @import("exit_status.zig");
const installing = @import("install.zig");
const invocation = @import("invocation.zig");
const git_program = @import("git_program.zig");
const Git = git_program.Git;
const git_place = @import("git_place.zig");
const Place = git_place.Place;
const git_changes = @import("git_changes.zig");
const say = git_changes.say;
const Helper = @import("git_helper.zig").Helper;
const refusal = @import("git_refusal.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

/// The bytes of a path that no shell reads as anything else: git gives core.sshCommand to one
/// where it finds any other.
const plain_bytes = std.ascii.letters ++ "0123456789" ++ "/._-+,:@";

/// The oldest release of git that is supported.
const oldest = [2]u32{ 2, 30 };

/// Makes the links and the settings, where they are not there yet, and says so on stdout. Nothing
/// is changed where anything speaks against it, which is reported. Answers the shim's exit status.
///
/// `invoked_as` is the path that the kernel was given to run, for where /proc is not mounted.
///
/// Not inline, as its paths would be on the stack of every command, which touches all of its pages.
pub noinline fn install(invoked_as: []const u8, environment: []const [*:0]const u8) u8 {
    var memory: git_place.Memory = undefined;
    const place = find(invoked_as, environment, &memory) orelse return exit_status.install_failed;
    if (std.mem.indexOfNone(u8, place.links[0], plain_bytes) != null) {
        report(&.{
            .{ .plain = "git would have a shell read the path " },
            .{ .shown = place.links[0] },
        });
        diagnostics.advise(.{ .plain = "put the shim into a directory that a shell reads as it " ++
            "stands, such as /usr/local/bin" });
        return exit_status.install_failed;
    }
    var is_set: [git_place.setting_count]bool = undefined;
    for (place.settings(), &is_set, &memory.value) |setting, *known, *buffer| {
        switch (place.look(setting, buffer)) {
            .absent => known.* = false,
            .ours => known.* = true,
            .other => |value| return refusal.refuseOther(setting, value),
            .unreadable => return refusal.refuseConfiguration(&place),
        }
    }
    var changes: git_changes.Changes = .{ .place = &place };
    if (!changes.make(is_set)) return exit_status.install_failed;
    changes.tell();
    return 0;
}

/// Undoes what `install` did, and says so on stdout. What is there under the same name and is not
/// its work stays, and is reported. Answers the shim's exit status. Not inline, as `install`.
pub noinline fn uninstall(invoked_as: []const u8, environment: []const [*:0]const u8) u8 {
    var memory: git_place.Memory = undefined;
    const place = find(invoked_as, environment, &memory) orelse return exit_status.install_failed;
    var is_unchanged = true;
    var is_own = true;
    for (place.settings(), &memory.value, 0..) |setting, *buffer, number| {
        if (std.mem.indexOfScalar(usize, &git_place.group_starts, number) != null) is_own = true;
        switch (place.look(setting, buffer)) {
            .absent => is_own = false,
            // The others of a group are those of its first: with another they are another's, too.
            .ours => if (is_own) {
                if (!place.unset(setting)) return refusal.refuseConfiguration(&place);
                say(&.{ "unset", setting.name, "in git's system configuration" });
                is_unchanged = false;
            } else refusal.reportKept(setting, setting.value),
            .other => |value| {
                is_own = false;
                refusal.reportKept(setting, value);
            },
            .unreadable => return refusal.refuseConfiguration(&place),
        }
    }
    for (&place.helpers) |*helper| {
        const left = helper.left();
        if (left == .nothing) continue;
        const errno = helper.uninstall(left);
        if (errno != .SUCCESS) return refusal.refuseLink("remove ", helper.path, errno);
        say(switch (left) {
            .link => &.{ "removed the link", helper.path },
            .kept => &.{ "put back", helper.path },
            else => &.{ "removed", helper.kept, "as git has been installed anew since" },
        });
        is_unchanged = false;
    }
    place.removeExecPath();
    for (place.links) |link| {
        if (!place.hasLink(link)) continue;
        const errno = system.remove(link);
        if (errno != .SUCCESS) return refusal.refuseLink("remove ", link, errno);
        say(&.{ "removed the link", link });
        is_unchanged = false;
    }
    if (is_unchanged) say(&.{"nothing to undo"});
    return 0;
}

/// Reports what is missing.
fn find(
    invoked_as: []const u8,
    environment: []const [*:0]const u8,
    memory: *git_place.Memory,
) ?Place {
    const own_path = installing.findOwn(invoked_as, &memory.own) orelse return null;
    const directory = own_path[0 .. own_path.len - command_name.fromPath(own_path).len];
    const variables: git_program.Environment = @ptrCast(environment.ptr);
    const search = invocation.find(environment, "PATH") orelse "";
    const git = Git.find(search, variables, &memory.git) orelse {
        report(&.{.{ .plain = "there is no git on PATH" }});
        diagnostics.advise(.{ .plain = "install the image's git first; an image without git needs " ++
            "airlock-shim --install DIR git instead" });
        return null;
    };
    if (installing.isSameFile(git.path, own_path)) {
        report(&.{ .{ .shown = git.path }, .{ .plain = " is this shim, and no git" } });
        diagnostics.advise(.{ .plain = "remove that link, so that the image's own git is found" });
        return null;
    }
    var links: [git_place.link_count][:0]const u8 = undefined;
    const names = [_][]const u8{ command_name.git_ssh, command_name.git_lfs, command_name.git_sign };
    for (names, &links, &memory.links) |name, *link, *buffer| {
        link.* = installing.joinPath(buffer, directory, name) orelse {
            _ = refusal.refuseLink("make ", own_path, .NAMETOOLONG);
            return null;
        };
    }
    if (!git.isFrom(oldest[0], oldest[1])) {
        report(&.{ .{ .shown = git.path }, .{ .plain = " is no git of version 2.30 or newer" } });
        diagnostics.advise(.{ .plain = "install a newer git in this image" });
        return null;
    }
    const exec_path = git.execPath(&memory.exec_path) orelse {
        report(&.{ .{ .shown = git.path }, .{ .plain = " does not say where its exec path is" } });
        diagnostics.advise(.{ .plain = "see what is wrong with this git: git --exec-path" });
        return null;
    };
    var place: Place = .{
        .git = git,
        .own_path = own_path,
        .links = links,
        .exec_path = exec_path,
        .helpers = undefined,
    };
    for (command_name.git_helpers, &place.helpers, &memory.helpers) |name, *helper, *paths| {
        helper.* = Helper.of(exec_path, name, own_path, paths) orelse {
            _ = refusal.refuseLink("make ", exec_path, .NAMETOOLONG);
            return null;
        };
    }
    return place;
}
