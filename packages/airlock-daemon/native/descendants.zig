//! Finds and signals everything that the tool started. A supervisor is a child subreaper, so that a
//! process whose parent dies becomes the supervisor's own child: whatever one pass misses, a later
//! one finds, and when wait(2) says that there is no child, nothing is left.

const std = @import("std");
const linux = std.os.linux;
const children = @import("children.zig");
const Reader = @import("directory.zig").Reader;
const failed = @import("errno.zig").failed;

/// Process numbers of one pass. What does not fit waits for the next pass.
const List = struct {
    pids: [32 * 1024]i32 = undefined,
    count: usize = 0,
    handling: Handling = .leave,
    /// Those that are passed over, and so what is below them.
    spared: []const i32 = &.{},

    pub fn append(list: *List, pid: i32) void {
        if (list.count == list.pids.len) return;
        if (std.mem.indexOfScalar(i32, list.spared, pid) != null) return;
        // At once: a process that does little but fork will not be there much longer.
        if (list.handling == .stop) _ = linux.kill(pid, linux.SIG.STOP);
        list.pids[list.count] = pid;
        list.count += 1;
    }

    fn signal(list: *const List, number: u8) void {
        for (list.pids[0..list.count]) |pid| _ = linux.kill(pid, number);
    }
};

// Zero until used: it takes no room in the file and, mostly, none in memory.
var found: List = .{};

/// Send a signal that a process may handle, once, to every descendant. SIGCONT follows, because a
/// stopped process handles nothing.
pub fn signalAll(number: u8) void {
    _ = collect(.leave, &.{});
    found.signal(number);
    found.signal(linux.SIG.CONT);
}

/// Kill every descendant that can be found, but for those `spared` and what is below them. All are stopped
/// before the first is killed: otherwise some that fork faster than they are found would get away from
/// every pass.
pub fn killAll(spared: []const i32) void {
    var before: usize = 0;
    // A process that was just forking when it was stopped shows its child in the next round. The
    // bound is for processes that another one continues meanwhile.
    for (0..8) |_| {
        if (!collect(.stop, spared) or found.count == before) break;
        before = found.count;
    }
    found.signal(linux.SIG.KILL);
}

const Handling = enum { leave, stop };

/// A directory that shows the processes of this namespace. What stands at /proc may be another.
var processes: i32 = linux.AT.FDCWD;

/// Find them from now on in `opened`, which stays open, and not in /proc.
pub fn lookIn(opened: i32) void {
    processes = opened;
}

/// Where they are found if that is not /proc.
pub fn lookedIn() ?i32 {
    return if (processes == linux.AT.FDCWD) null else processes;
}

/// `path`, which begins with /proc/, as it is called from `processes`.
fn below(path: [*:0]const u8) [*:0]const u8 {
    return if (processes == linux.AT.FDCWD) path else path + "/proc/".len;
}

/// Fill `found` from the top of the tree downwards; false if only the top level could be found. With
/// `stop`, a process is stopped before its children are read: it cannot reap them then, so that
/// their numbers stay theirs.
fn collect(handling: Handling, spared: []const i32) bool {
    found.count = 0;
    found.handling = handling;
    found.spared = spared;
    const self = linux.getpid();
    const readable = showsOwnNumbers(self) and appendChildren(self);
    if (!readable) {
        appendByProbing();
        return false;
    }
    var index: usize = 0;
    while (index < found.count) : (index += 1) _ = appendChildren(found.pids[index]);
    return true;
}

/// Whether /proc belongs to the PID namespace of this process: in another one the numbers that it
/// shows are those of strangers.
fn showsOwnNumbers(self: i32) bool {
    var target: [16]u8 = undefined;
    const length = linux.readlinkat(processes, below("/proc/self"), &target, target.len);
    if (failed(length) != null) return false;
    const shown = std.fmt.parseInt(i32, target[0..length], 10) catch return false;
    return shown == self;
}

const open_flags: linux.O = .{ .ACCMODE = .RDONLY, .CLOEXEC = true };

/// Add the children of each thread of `pid`. False if the kernel shows none of this, which for a
/// process that has ended meanwhile is as good as no children.
fn appendChildren(pid: i32) bool {
    var path: [32]u8 = undefined;
    const name = std.fmt.bufPrintZ(&path, "/proc/{d}/task", .{pid}) catch unreachable;
    var flags = open_flags;
    flags.DIRECTORY = true;
    const tasks = openAt(processes, below(name), flags) orelse return false;
    defer _ = linux.close(tasks);
    var shown = false;
    var threads = Reader{ .directory = tasks };
    while (threads.next()) |thread| {
        if (appendChildrenOfThread(tasks, thread)) shown = true;
    }
    return shown;
}

fn appendChildrenOfThread(tasks: i32, thread: []const u8) bool {
    var path: [32]u8 = undefined;
    const name = std.fmt.bufPrintZ(&path, "{s}/children", .{thread}) catch unreachable;
    const file = openAt(tasks, name, open_flags) orelse return false;
    defer _ = linux.close(file);
    var parser = children.Parser{};
    var piece: [1024]u8 = undefined;
    while (true) {
        const size = linux.read(file, &piece, piece.len);
        if (failed(size) != null or size == 0) return true;
        parser.feed(piece[0..size], &found);
    }
}

fn openAt(directory: i32, path: [*:0]const u8, flags: linux.O) ?i32 {
    const result = linux.openat(directory, path, flags, 0);
    return if (failed(result) == null) @intCast(result) else null;
}

/// The largest number that a process can have (proc_sys_kernel(5), pid_max).
const last_pid = 4 * 1024 * 1024;

/// Where /proc is hidden, or the kernel was built without the lists of children: ask wait(2) of every
/// number whether it is a child. That takes some tenths of a second and finds one level of the tree;
/// as each level dies, the next one becomes the supervisor's own.
fn appendByProbing() void {
    var pid: i32 = 2;
    while (pid <= last_pid) : (pid += 1) {
        var information: linux.siginfo_t = undefined;
        const flags = linux.W.EXITED | linux.W.NOHANG | linux.W.NOWAIT;
        const result = linux.waitid(.PID, pid, &information, flags);
        if (failed(result) == null) found.append(pid);
    }
}
