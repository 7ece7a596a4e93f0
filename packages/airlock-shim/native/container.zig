//! The id of the container that this process runs in, as far as the container can see it.
//!
//! It is a hint to daemons that cannot see it for themselves; one that can refuses a hint that
//! contradicts the kernel. So what may be another container's id is left out.
//!
//! - /proc/self/cgroup names it unless the control groups have a namespace of their own:
//!   `/docker/ID`, `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`,
//!   `/kubepods/.../ID`.
//! - /proc/self/mountinfo shows where the engine keeps the container's own /etc/hostname,
//!   /etc/hosts and /etc/resolv.conf: `.../containers/ID/hostname` (docker),
//!   `.../containers/NAMESPACE/ID/hostname` (nerdctl), `.../ID/userdata/hostname` (podman).
//!   In a Kubernetes pod these are the sandbox's, whose id is not the container's.

const std = @import("std");
const lines = @import("lines.zig");
const system = @import("system.zig");

pub const Id = [64]u8;

/// The container's id, or null where none is to be seen.
pub fn find() ?Id {
    var search: Search = .{};
    lines.forEach("/proc/self/cgroup", &search, Search.readCgroupLine);
    if (search.found == null and hasOwnFiles()) {
        lines.forEach("/proc/self/mountinfo", &search, Search.readMountLine);
    }
    return search.found;
}

const own_files = [_][:0]const u8{ "/etc/hostname", "/etc/hosts", "/etc/resolv.conf" };

/// Whether any of the files that engines mount is a mount. The list of all mounts takes the kernel
/// longer to write than everything else that the shim asks it for.
fn hasOwnFiles() bool {
    for (own_files) |path| if (system.mayBeMountPoint(path)) return true;
    return false;
}

const Search = struct {
    found: ?Id = null,

    fn readCgroupLine(search: *Search, line: []const u8) bool {
        search.found = idInCgroupLine(line);
        return search.found == null;
    }

    fn readMountLine(search: *Search, line: []const u8) bool {
        if (isKubernetesMount(line)) {
            search.found = null;
            return false;
        }
        if (search.found == null) search.found = idInMountLine(line);
        return true;
    }
};

/// The first id in a line of /proc/self/cgroup (cgroups(7)): the outermost container, as the host
/// sees it.
fn idInCgroupLine(line: []const u8) ?Id {
    var components = std.mem.splitScalar(u8, line, '/');
    while (components.next()) |component| {
        var name = component;
        if (std.mem.endsWith(u8, name, ".scope")) name = name[0 .. name.len - ".scope".len];
        const separator = std.mem.lastIndexOfAny(u8, name, "-:");
        if (separator) |at| name = name[at + 1 ..];
        if (asId(name)) |id| return id;
    }
    return null;
}

/// The id in a line of /proc/self/mountinfo (proc_pid_mountinfo(5): the fourth field is the root
/// within the file system, the fifth the mount point).
fn idInMountLine(line: []const u8) ?Id {
    const mount = splitMountLine(line) orelse return null;
    for (own_files) |file| {
        if (std.mem.eql(u8, mount.point, file)) break;
    } else return null;
    var components = std.mem.splitBackwardsScalar(u8, mount.root, '/');
    _ = components.next();
    var directory = components.next() orelse return null;
    if (std.mem.eql(u8, directory, "userdata")) directory = components.next() orelse return null;
    const id = asId(directory) orelse return null;
    // containerd keeps the files of a pod's sandbox there.
    const parent = components.next() orelse return null;
    return if (std.mem.eql(u8, parent, "sandboxes")) null else id;
}

/// Whether a line of /proc/self/mountinfo shows that kubelet set this container up.
fn isKubernetesMount(line: []const u8) bool {
    const mount = splitMountLine(line) orelse return false;
    if (std.mem.eql(u8, mount.point, "/dev/termination-log")) return true;
    return std.mem.eql(u8, mount.point, "/etc/hosts") and
        std.mem.endsWith(u8, mount.root, "/etc-hosts");
}

const Mount = struct { root: []const u8, point: []const u8 };

fn splitMountLine(line: []const u8) ?Mount {
    var fields = std.mem.splitScalar(u8, line, ' ');
    for (0..3) |_| _ = fields.next() orelse return null;
    const root = fields.next() orelse return null;
    return .{ .root = root, .point = fields.next() orelse return null };
}

fn asId(name: []const u8) ?Id {
    if (name.len != 64) return null;
    for (name) |digit| switch (digit) {
        '0'...'9', 'a'...'f' => {},
        else => return null,
    };
    return name[0..64].*;
}

const example = "0123456789abcdef" ** 4;

/// The beginning of a line of mountinfo, and what follows the mount point.
const head = "1 2 0:5 ";
const tail = " rw,relatime - ext4 /dev/sda rw";

fn expectId(expected: ?[]const u8, found: ?Id) !void {
    if (expected) |id| {
        try std.testing.expectEqualStrings(id, &(found orelse return error.NoIdFound));
    } else try std.testing.expect(found == null);
}

test "control groups name the containers of every engine" {
    for ([_][]const u8{
        "12:pids:/docker/" ++ example,
        "0::/system.slice/docker-" ++ example ++ ".scope",
        "0::/user.slice/user@1000.service/libpod-" ++ example ++ ".scope/container",
        "0::/machine.slice/libpod-" ++ example ++ ".scope",
        "0::/kubepods.slice/kubepods-pod1b2c3d4e_0000_4000_8000_000000000000.slice/" ++
            "cri-containerd-" ++ example ++ ".scope",
        "3:cpu:/kubepods/burstable/pod1b2c3d4e-0000-4000-8000-000000000000/" ++ example,
        "0::/kubepods.slice/crio-" ++ example ++ ".scope",
        "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ++ example,
        "0::/default/" ++ example,
    }) |line| try expectId(example, idInCgroupLine(line));
}

test "the outermost of nested containers counts" {
    try expectId(example, idInCgroupLine("0::/docker/" ++ example ++ "/docker/" ++ "f" ** 64));
}

test "a group that no engine made names no container" {
    for ([_][]const u8{
        "0::/",
        "",
        "0::/user.slice/user-1000.slice/session-1.scope",
        "0::/docker/" ++ "a" ** 63,
        "0::/docker/" ++ "a" ** 65,
        "0::/docker/" ++ "A" ** 64,
    }) |line| try expectId(null, idInCgroupLine(line));
}

test "the mounts of a container's own files name it" {
    for ([_][]const u8{
        head ++ "/var/lib/docker/containers/" ++ example ++ "/resolv.conf /etc/resolv.conf" ++ tail,
        head ++ "/containers/" ++ example ++ "/hostname /etc/hostname" ++ tail,
        head ++ "/nerdctl/1935/containers/default/" ++ example ++ "/hostname /etc/hostname" ++ tail,
        head ++ "/nerdctl/1935/etchosts/default/" ++ example ++ "/hosts /etc/hosts" ++ tail,
        head ++ "/storage/overlay-containers/" ++ example ++ "/userdata/hosts /etc/hosts" ++ tail,
    }) |line| try expectId(example, idInMountLine(line));
}

test "ids of layers, volumes, sandboxes and other containers' files are left out" {
    for ([_][]const u8{
        head ++ "/ / rw - overlay overlay rw,upperdir=/var/lib/overlay2/" ++ example ++ "/diff",
        head ++ "/var/lib/docker/volumes/" ++ example ++ "/_data /data" ++ tail,
        head ++ "/io.containerd.cri/sandboxes/" ++ example ++ "/hostname /etc/hostname" ++ tail,
        head ++ "/var/lib/docker/containers/" ++ example ++ "/hostname /logs/hostname" ++ tail,
        head ++ "/etc/hostname /etc/hostname" ++ tail,
        head,
        "",
    }) |line| try expectId(null, idInMountLine(line));
}

test "a pod is known by what kubelet mounts in every container" {
    try std.testing.expect(isKubernetesMount(
        head ++ "/var/lib/kubelet/pods/1b2c/etc-hosts /etc/hosts" ++ tail,
    ));
    try std.testing.expect(isKubernetesMount(
        head ++ "/pods/1b2c/containers/main/8f /dev/termination-log" ++ tail,
    ));
    try std.testing.expect(!isKubernetesMount(
        head ++ "/var/lib/docker/containers/" ++ example ++ "/hosts /etc/hosts" ++ tail,
    ));
}

/// What a search finds in a file with this text.
fn searchMounts(text: []const u8) !?Id {
    var temporary = std.testing.tmpDir(.{});
    defer temporary.cleanup();
    try temporary.dir.writeFile(.{ .sub_path = "mountinfo", .data = text });
    var buffer: [std.fs.max_path_bytes]u8 = undefined;
    const length = (try temporary.dir.realpath("mountinfo", &buffer)).len;
    buffer[length] = 0;
    var search: Search = .{};
    lines.forEach(buffer[0..length :0], &search, Search.readMountLine);
    return search.found;
}

const own_line = head ++ "/containers/" ++ example ++ "/hosts /etc/hosts" ++ tail ++ "\n";
const pod_line = head ++ "/pods/1/containers/main/8f /dev/termination-log" ++ tail ++ "\n";

test "a line is found wherever it stands, after lines of any length" {
    const long_line = head ++ "/ / rw - overlay overlay rw,lowerdir=" ++ "l" ** 20_000 ++ "\n";
    const short_lines = head ++ "/ /proc rw - proc proc rw\n" ** 300;
    try expectId(example, try searchMounts(own_line));
    try expectId(example, try searchMounts(short_lines ++ own_line ++ short_lines));
    try expectId(example, try searchMounts(long_line ++ own_line ++ long_line));
    try expectId(null, try searchMounts(long_line ++ short_lines));
    try expectId(null, try searchMounts(""));
}

test "in a pod the mounts are left out, whichever comes first" {
    try expectId(null, try searchMounts(own_line ++ pod_line));
    try expectId(null, try searchMounts(pod_line ++ own_line));
}
