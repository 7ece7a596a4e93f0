//! What the launcher does as pid 1 of a box before there is a tool: it finishes what bubblewrap has begun,
//! and gives up everything that this took.

const std = @import("std");
const linux = std.os.linux;
const descendants = @import("descendants.zig");
const failed = @import("errno.zig").failed;
const leftovers = @import("leftovers.zig");
const mounts = @import("mounts.zig");
const mount = mounts.mount;
const move = mounts.move;
const openPath = @import("unlinked.zig").open;
const parts = @import("parts.zig");

/// Who the tool is in the box, and outside of it.
pub const Identity = struct { user: u32, group: u32 };

/// The home of a box: in memory, a directory that the daemon keeps, or the human's at its path.
pub const Home = union(enum) { fresh, kept, human: [*:0]const u8 };

/// The paths to which mounts were moved, and the numbers of those mounts (statx(2)).
pub const Moved = struct {
    paths: [most][*:0]const u8 = undefined,
    numbers: [most]u64 = undefined,
    count: usize = 0,

    const most = 512;

    /// Whether each is still what stands at its path. A box may wait for its command, and who can change a
    /// directory takes away with it what is mounted there, in each mount namespace but their own (rename(2)).
    pub fn check(moved: *const Moved) ?linux.E {
        for (moved.paths[0..moved.count], moved.numbers[0..moved.count]) |path, number| {
            var found: u64 = undefined;
            if (identify(path, &found)) |errno| return errno;
            if (found != number) return .STALE;
        }
        return null;
    }

    fn add(moved: *Moved, path: [*:0]const u8) ?linux.E {
        if (moved.count == most) return .@"2BIG";
        if (identify(path, &moved.numbers[moved.count])) |errno| return errno;
        moved.paths[moved.count] = path;
        moved.count += 1;
        return null;
    }

    /// The mount of which `path` is the root.
    fn identify(path: [*:0]const u8, number: *u64) ?linux.E {
        var descriptor: i32 = undefined;
        if (openPath(path, .{ .PATH = true, .CLOEXEC = true }, &descriptor)) |errno| return errno;
        defer _ = linux.close(descriptor);
        const statx_mnt_id = 0x1000;
        var found: linux.Statx = undefined;
        if (failed(linux.statx(descriptor, "", linux.AT.EMPTY_PATH, statx_mnt_id, &found))) |errno| return errno;
        if (found.mask & statx_mnt_id == 0) return .NOSYS;
        if (found.attributes & mounts.attribute_mount_root == 0) return .STALE;
        number.* = found.__pad2[0];
        return null;
    }
};

/// Finish the box; the errno of the step that failed, if one did. This process must be root in the user
/// namespace to which the box's mounts belong, and nobody else be in there. What is written to a
/// `home` that is the human's goes to memory. `pairs` are a mount and
/// the path to which it is moved, which may have no link in it; what came of them is written to `moved`. Before it
/// may stand what is to be there (`mounts.move`). With `-` in the place of a mount it is that path in which no link is followed from then on. With `r` nothing more can be made at that path. Of what
/// else a pair can begin with `parts.take` tells.
/// Afterwards this process and all that it
/// starts are in a namespace below, as `identity` and without capabilities, and cannot make another.
pub fn finish(
    identity: Identity,
    home: Home,
    pairs: []const [*:0]const u8,
    moved: *Moved,
) ?linux.E {
    // What is mounted on the host from now on does not appear in here.
    if (mount(null, "/", null, linux.MS.REC | linux.MS.PRIVATE, null)) |errno| return errno;
    switch (home) {
        .fresh => if (limit(fresh_home)) |errno| return errno,
        .kept => leftovers.passOverHome(),
        .human => |path| {
            if (limit(written)) |errno| return errno;
            if (cover(path)) |errno| return errno;
        },
    }
    if (parts.take(pairs)) |errno| return errno;
    var index: usize = 0;
    while (index < pairs.len) : (index += 2) {
        if (std.mem.eql(u8, std.mem.span(pairs[index]), "-")) {
            if (mounts.forbidLinks(pairs[index + 1])) |errno| return errno;
            continue;
        }
        if (pairs[index][0] != '/' or parts.holds(pairs[index])) continue;
        const expected = if (index == 0) "" else pairs[index - 2];
        if (move(pairs[index], pairs[index + 1], expected)) |errno| return errno;
        if (moved.add(pairs[index + 1])) |errno| return errno;
    }
    for (memory) |path| {
        if (limit(path)) |errno| return errno;
    }
    // With the files of /proc/sys, for one of which this is needed.
    if (mount("proc", "/proc", "proc", quiet, null)) |errno| return errno;
    // user_namespaces(7): there may be one in this, for the tool, and none in that. The seccomp filter
    // forbids them too; each of the two is enough.
    if (write("/proc/sys/user/max_user_namespaces", "1")) |errno| return errno;
    for (counted) |each| {
        if (write(each[0], each[1])) |errno| if (errno != .NOENT) return errno;
    }
    if (mount("proc", "/proc", "proc", quiet, "subset=pid")) |errno| return errno;
    var directory: i32 = undefined;
    if (openPath(processes, .{ .PATH = true, .DIRECTORY = true, .CLOEXEC = true }, &directory)) |errno| return errno;
    descendants.lookIn(directory);
    index = 0;
    while (index < pairs.len) : (index += 2) {
        if (pairs[index][0] != 'r') continue;
        if (mounts.close(pairs[index + 1])) |errno| return errno;
    }
    if (leftovers.note()) |errno| return errno;
    if (failed(linux.unshare(linux.CLONE.NEWUSER))) |errno| return errno;
    if (become(identity, directory)) |errno| return errno;
    return dropCapabilities();
}

/// File systems in memory that every box has. bubblewrap bounds their bytes, not the number of their files,
/// each of which takes memory of the kernel.
const memory = [_][*:0]const u8{ "/tmp", "/dev/shm" };
const processes = "/proc";
const fresh_home = leftovers.fresh_home;

/// In the place of a fresh home, where the box has the human's.
const written = "/run/airlock/home";

fn limit(path: [*:0]const u8) ?linux.E {
    return mount(null, path, null, linux.MS.REMOUNT | linux.MS.NOSUID | linux.MS.NODEV, "nr_inodes=65536");
}

/// Lay a directory in memory over `home`, so that writes are thrown away. Where the kernel cannot
/// (something is mounted inside, or not every file system may lie below) it stays read-only as it is.
/// Nobody sees that directory itself: by attributes of its files one could reach what is covered.
fn cover(home: [*:0]const u8) ?linux.E {
    if (failed(linux.mkdir(written ++ "/upper", 0o700))) |errno| return errno;
    if (failed(linux.mkdir(written ++ "/work", 0o700))) |errno| return errno;
    // A path among the options would need quoting, and could be too long.
    if (failed(linux.chdir(home))) |errno| return errno;
    const options = "lowerdir=.,upperdir=" ++ written ++ "/upper,workdir=" ++ written ++ "/work,userxattr";
    const upper = linux.open(written ++ "/upper", .{ .DIRECTORY = true, .CLOEXEC = true }, 0);
    if (failed(upper)) |errno| return errno;
    leftovers.lookIn(home, @intCast(upper));
    _ = mount("airlock", home, "overlay", linux.MS.NOSUID | linux.MS.NODEV, options);
    if (failed(linux.chdir("/"))) |errno| return errno;
    return failed(linux.umount2(written, linux.MNT.DETACH));
}

/// What the kernel counts for a user across all boxes (inotify(7)), and bounds for a user namespace too. A
/// kernel without it has no such file.
const counted = [_][2][:0]const u8{
    .{ "/proc/sys/user/max_inotify_instances", "16" },
    .{ "/proc/sys/user/max_inotify_watches", "65536" },
};

const quiet = linux.MS.NOSUID | linux.MS.NODEV | linux.MS.NOEXEC;

/// The new namespace has no user yet; root of the one above becomes `identity` in it.
fn become(identity: Identity, directory: i32) ?linux.E {
    if (writeAt(directory, "self/setgroups", "deny")) |errno| return errno;
    if (writeMap(directory, "self/gid_map", identity.group)) |errno| return errno;
    return writeMap(directory, "self/uid_map", identity.user);
}

fn writeMap(directory: i32, path: [*:0]const u8, number: u32) ?linux.E {
    var line: [32]u8 = undefined;
    const digits = std.fmt.bufPrint(&line, "{d}", .{number}) catch unreachable;
    // One number, that of root outside.
    line[digits.len..][0..4].* = .{ ' ', '0', ' ', '1' };
    return writeAt(directory, path, line[0 .. digits.len + 4]);
}

fn write(path: [*:0]const u8, text: []const u8) ?linux.E {
    return writeAt(linux.AT.FDCWD, path, text);
}

fn writeAt(directory: i32, path: [*:0]const u8, text: []const u8) ?linux.E {
    const opened = linux.openat(directory, path, .{ .ACCMODE = .WRONLY, .CLOEXEC = true }, 0);
    if (failed(opened)) |errno| return errno;
    defer _ = linux.close(@intCast(opened));
    return failed(linux.write(@intCast(opened), text.ptr, text.len));
}

/// capabilities(7): out of the bounding set, so that no program that is executed brings one back, then out
/// of the ambient set and of the three of this process.
fn dropCapabilities() ?linux.E {
    var capability: usize = 0;
    while (true) : (capability += 1) {
        const result = linux.prctl(@intFromEnum(linux.PR.CAPBSET_DROP), capability, 0, 0, 0);
        // There is no further one.
        if (linux.E.init(result) == .INVAL) break;
        if (failed(result)) |errno| return errno;
    }
    const clear_all = linux.PR.CAP_AMBIENT_CLEAR_ALL;
    if (failed(linux.prctl(@intFromEnum(linux.PR.CAP_AMBIENT), clear_all, 0, 0, 0))) |errno| return errno;
    // capset(2): version 3 and this process; effective, permitted and inheritable, 32 at a time.
    const header = [2]u32{ 0x20080522, 0 };
    const nothing = [6]u32{ 0, 0, 0, 0, 0, 0 };
    return failed(linux.syscall2(.capset, @intFromPtr(&header), @intFromPtr(&nothing)));
}
