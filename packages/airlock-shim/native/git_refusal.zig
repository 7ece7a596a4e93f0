//! Why `--install-git` and `--uninstall-git` leave something as it is, and what helps.

const system = @import("system.zig");
const error_number = @import("error_number.zig");
const exit_status = @import("exit_status.zig");
const git_place = @import("git_place.zig");
const Place = git_place.Place;
const Setting = git_place.Setting;
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

pub fn refuseLink(verb: []const u8, link: []const u8, errno: system.Errno) u8 {
    report(&.{
        .{ .plain = "cannot " },
        .{ .plain = verb },
        .{ .shown = link },
        .{ .plain = ": " },
        .{ .plain = error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = "the links stand beside the shim and in git's exec path: run " ++
        "this as root, in a Dockerfile before USER" });
    return exit_status.install_failed;
}

pub fn refuseOther(setting: Setting, value: []const u8) u8 {
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

pub fn refuseConfiguration(place: *const Place) u8 {
    report(&.{
        .{ .shown = place.git.path },
        .{ .plain = " cannot read or write its system configuration" },
    });
    diagnostics.advise(.{ .plain = "run this as root, in a Dockerfile before USER; where git " ++
        "says that there is no such directory, make it" });
    return exit_status.install_failed;
}

pub fn reportKept(setting: Setting, value: []const u8) void {
    report(&.{
        .{ .plain = "not from --install-git, and so it stays: " },
        .{ .plain = setting.name },
        .{ .plain = " = " },
        .{ .shown = value },
    });
    diagnostics.advise(.{ .plain = "git config --system --unset-all NAME removes it" });
}
