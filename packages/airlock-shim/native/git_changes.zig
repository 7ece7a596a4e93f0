//! What `--install-git` changes in an image: all of it or nothing.

const system = @import("system.zig");
const installing = @import("install.zig");
const command_name = @import("command_name.zig");
const git_place = @import("git_place.zig");
const Place = git_place.Place;
const setting_count = git_place.setting_count;
const link_count = git_place.link_count;
const refusal = @import("git_refusal.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

pub const Changes = struct {
    place: *const Place,
    made_links: [link_count]bool = @splat(false),
    made_helpers: [2]bool = @splat(false),
    made_settings: [setting_count]bool = @splat(false),

    /// Makes what is not there yet; `is_set` says which settings are. Where something cannot be
    /// made, that is reported, and all is as it was.
    pub fn make(changes: *Changes, is_set: [setting_count]bool) bool {
        if (changes.makeLinks() and changes.makeHelpers() and changes.makeSettings(is_set)) return true;
        changes.undo();
        return false;
    }

    fn makeLinks(changes: *Changes) bool {
        for (changes.place.links, &changes.made_links) |link, *made| {
            if (!changes.makeLink(link, made)) return false;
        }
        return true;
    }

    fn makeLink(changes: *Changes, link: [:0]const u8, made: *bool) bool {
        const place = changes.place;
        const name = command_name.fromPath(place.own_path);
        switch (system.makeSymlink(place.own_path[place.own_path.len - name.len ..], link)) {
            .SUCCESS => made.* = true,
            .EXIST => if (!installing.isSameFile(link, place.own_path)) {
                report(&.{
                    .{ .shown = link },
                    .{ .plain = " is there and no link to this shim" },
                });
                diagnostics.advise(.{ .plain = "remove it, or put the shim into another " ++
                    "directory" });
                return false;
            },
            else => |errno| {
                _ = refusal.refuseLink("make ", link, errno);
                return false;
            },
        }
        return true;
    }

    fn makeHelpers(changes: *Changes) bool {
        const place = changes.place;
        if (!installing.makeDirectories(place.exec_path)) return false;
        for (&place.helpers, &changes.made_helpers) |*helper, *made| {
            if (helper.isInPlace()) continue;
            const errno = helper.install();
            if (errno != .SUCCESS) {
                _ = refusal.refuseLink("make ", helper.path, errno);
                return false;
            }
            made.* = true;
        }
        return true;
    }

    fn makeSettings(changes: *Changes, is_set: [setting_count]bool) bool {
        for (changes.place.settings(), is_set, &changes.made_settings) |setting, known, *made| {
            if (known) continue;
            if (!changes.place.set(setting)) {
                _ = refusal.refuseConfiguration(changes.place);
                return false;
            }
            made.* = true;
        }
        return true;
    }

    fn undo(changes: *const Changes) void {
        const place = changes.place;
        for (place.settings(), changes.made_settings) |setting, made| {
            if (made) _ = place.unset(setting);
        }
        for (&place.helpers, changes.made_helpers) |*helper, made| {
            if (made) _ = helper.uninstall(helper.left());
        }
        place.removeExecPath();
        for (place.links, changes.made_links) |link, made| {
            if (made) _ = system.remove(link);
        }
    }

    /// Says on stdout what was made.
    pub fn tell(changes: *const Changes) void {
        const place = changes.place;
        var is_unchanged = true;
        for (place.links, changes.made_links) |link, made| if (made) {
            say(&.{ "made the link", link });
            is_unchanged = false;
        };
        for (&place.helpers, changes.made_helpers) |*helper, made| if (made) {
            if (helper.hasKept()) {
                say(&.{ "made the link", helper.path, "and kept what was there as", helper.kept });
            } else {
                say(&.{ "made the link", helper.path });
            }
            is_unchanged = false;
        };
        for (place.settings(), changes.made_settings) |setting, made| if (made) {
            say(&.{ "set", setting.name, "to", setting.value, "in git's system configuration" });
            is_unchanged = false;
        };
        if (!is_unchanged) return;
        say(&.{ "nothing to change: git reaches its remotes by", place.own_path });
    }
};

/// Writes a line of these words to stdout.
pub fn say(parts: []const []const u8) void {
    for (parts, 1..) |part, nth| {
        _ = system.writeAll(1, part);
        _ = system.writeAll(1, if (nth == parts.len) "\n" else " ");
    }
}
