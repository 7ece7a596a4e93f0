//! `airlock-shim --install-git`: has the image's own git use the shim as its ssh, by the link
//! `git-ssh` beside the shim and two settings of git's system configuration. `--uninstall-git`
//! takes away what that made, and nothing else.
//!
//! git itself reads and writes the configuration, whose place is another in each distribution.

const std = @import("std");
const system = @import("system.zig");
const error_number = @import("error_number.zig");
const command_name = @import("command_name.zig");
const exit_status = @import("exit_status.zig");
const installing = @import("install.zig");
const invocation = @import("invocation.zig");
const git_program = @import("git_program.zig");
const Git = git_program.Git;
const git_place = @import("git_place.zig");
const Place = git_place.Place;
const Setting = git_place.Setting;
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

/// The bytes of a path that no shell reads as anything else: git gives core.sshCommand to one
/// where it finds any other.
const plain_bytes = std.ascii.letters ++ "0123456789" ++ "/._-+,:@";

/// The oldest release of git that is supported.
const oldest = [2]u32{ 2, 30 };

const Memory = struct {
    own: installing.PathBuffer,
    link: installing.PathBuffer,
    git: installing.PathBuffer,
    value: [2]installing.PathBuffer,
};

/// Makes the link and the settings, where they are not there yet, and says so on stdout. Nothing
/// is changed where anything speaks against it, which is reported. Answers the shim's exit status.
///
/// `invoked_as` is the path that the kernel was given to run, for where /proc is not mounted.
pub fn install(invoked_as: []const u8, environment: []const [*:0]const u8) u8 {
    var memory: Memory = undefined;
    const place = find(invoked_as, environment, &memory) orelse return exit_status.install_failed;
    const settings = place.settings();
    if (!isSuited(&place)) return exit_status.install_failed;
    var is_set: [2]bool = undefined;
    for (settings, &is_set, &memory.value) |setting, *known, *buffer| {
        switch (place.look(setting, buffer)) {
            .absent => known.* = false,
            .ours => known.* = true,
            .other => |value| return refuseOther(setting, value),
            .unreadable => return refuseConfiguration(&place),
        }
    }
    const is_linked = switch (makeLink(&place)) {
        .made => false,
        .present => true,
        .refused => return exit_status.install_failed,
    };
    for (settings, is_set, 0..) |setting, known, nth| if (!known and !place.set(setting)) {
        for (settings[0..nth], is_set[0..nth]) |earlier, before| {
            if (!before) _ = place.unset(earlier);
        }
        if (!is_linked) _ = system.remove(place.link);
        return refuseConfiguration(&place);
    };
    if (!is_linked) say(&.{ "made the link", place.link });
    for (settings, is_set) |setting, known| if (!known) {
        say(&.{ "set", setting.name, "to", setting.value, "in git's system configuration" });
    };
    if (is_linked and is_set[0] and is_set[1]) {
        say(&.{ "nothing to change: git's ssh is", place.link });
    }
    return 0;
}

/// Undoes what `install` did, and says so on stdout. What is there under the same name and is not
/// its work stays, and is reported. Answers the shim's exit status.
pub fn uninstall(invoked_as: []const u8, environment: []const [*:0]const u8) u8 {
    var memory: Memory = undefined;
    const place = find(invoked_as, environment, &memory) orelse return exit_status.install_failed;
    var is_unchanged = true;
    var is_own = true;
    for (place.settings(), &memory.value) |setting, *buffer| {
        switch (place.look(setting, buffer)) {
            .absent => is_own = false,
            // The variant is that of the command: with another command it is another's, too.
            .ours => if (is_own) {
                if (!place.unset(setting)) return refuseConfiguration(&place);
                say(&.{ "unset", setting.name, "in git's system configuration" });
                is_unchanged = false;
            } else reportKept(setting, setting.value),
            .other => |value| {
                is_own = false;
                reportKept(setting, value);
            },
            .unreadable => return refuseConfiguration(&place),
        }
    }
    if (place.hasLink()) {
        const errno = system.remove(place.link);
        if (errno != .SUCCESS) return refuseLink("remove ", place.link, errno);
        say(&.{ "removed the link", place.link });
        is_unchanged = false;
    }
    if (is_unchanged) say(&.{"nothing to undo"});
    return 0;
}

/// Reports what is missing.
fn find(invoked_as: []const u8, environment: []const [*:0]const u8, memory: *Memory) ?Place {
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
    const link = installing.joinPath(&memory.link, directory, command_name.git_ssh) orelse {
        _ = refuseLink("make ", own_path, .NAMETOOLONG);
        return null;
    };
    return .{ .git = git, .own_path = own_path, .link = link };
}

/// Whether this git can be told of this link; else says why not.
fn isSuited(place: *const Place) bool {
    if (!place.git.isFrom(oldest[0], oldest[1])) {
        report(&.{ .{ .shown = place.git.path }, .{ .plain = " is no git of version 2.30 or newer" } });
        diagnostics.advise(.{ .plain = "install a newer git in this image" });
        return false;
    }
    if (std.mem.indexOfNone(u8, place.link, plain_bytes) != null) {
        report(&.{
            .{ .plain = "git would have a shell read the path " },
            .{ .shown = place.link },
        });
        diagnostics.advise(.{ .plain = "put the shim into a directory that a shell reads as it " ++
            "stands, such as /usr/local/bin" });
        return false;
    }
    return true;
}

fn makeLink(place: *const Place) enum { made, present, refused } {
    const target = place.own_path[place.own_path.len - command_name.fromPath(place.own_path).len ..];
    switch (system.makeSymlink(target, place.link)) {
        .SUCCESS => return .made,
        .EXIST => {
            if (installing.isSameFile(place.link, place.own_path)) return .present;
            report(&.{ .{ .shown = place.link }, .{ .plain = " is there and no link to this shim" } });
            diagnostics.advise(.{ .plain = "remove it, or put the shim into another directory" });
        },
        else => |errno| _ = refuseLink("make ", place.link, errno),
    }
    return .refused;
}

fn refuseLink(verb: []const u8, link: []const u8, errno: system.Errno) u8 {
    report(&.{
        .{ .plain = "cannot " },
        .{ .plain = verb },
        .{ .shown = link },
        .{ .plain = ": " },
        .{ .plain = error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = "the link stands beside the shim: run this as a user who may " ++
        "write there" });
    return exit_status.install_failed;
}

fn refuseOther(setting: Setting, value: []const u8) u8 {
    report(&.{
        .{ .plain = "git's system configuration has another " },
        .{ .plain = setting.name },
        .{ .plain = ": " },
        .{ .shown = value },
    });
    diagnostics.advise(.{ .plain = "keep that, or unset it first, in this image: " ++
        "git config --system --unset-all NAME" });
    return exit_status.install_failed;
}

fn refuseConfiguration(place: *const Place) u8 {
    report(&.{
        .{ .shown = place.git.path },
        .{ .plain = " cannot read or write its system configuration" },
    });
    diagnostics.advise(.{ .plain = "run this as root, in a Dockerfile before USER; where git " ++
        "says that there is no such directory, make it" });
    return exit_status.install_failed;
}

fn reportKept(setting: Setting, value: []const u8) void {
    report(&.{
        .{ .plain = "not from --install-git, and so it stays: " },
        .{ .plain = setting.name },
        .{ .plain = " = " },
        .{ .shown = value },
    });
    diagnostics.advise(.{ .plain = "git config --system --unset-all NAME removes it" });
}

/// Writes a line of these words to stdout.
fn say(parts: []const []const u8) void {
    for (parts, 1..) |part, nth| {
        _ = system.writeAll(1, part);
        _ = system.writeAll(1, if (nth == parts.len) "\n" else " ");
    }
}
