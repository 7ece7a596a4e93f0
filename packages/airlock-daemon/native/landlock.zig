//! Landlock: what a tool may reach where there can be no namespaces of its own. A ruleset names what is
//! allowed below certain files, and everything else that the kernel's version knows of is forbidden, to the
//! tool and to all that it starts.

const linux = @import("std").os.linux;
const Reader = @import("directory.zig").Reader;
const failed = @import("errno.zig").failed;

/// What may be done with a file, or with all below a directory.
pub const Access = enum(u32) {
    /// Read and execute.
    read,
    /// Also change, make and remove; no devices are made.
    write,
    /// Also write to it, and nothing else that `write` has: for devices.
    use,
};

/// `descriptor` is open with O_PATH, so that nothing depends on what its path leads to by now.
pub const Rule = struct { descriptor: i32, access: Access };

/// What is allowed beside the rules. `connects` says that TCP may be used. What lies in the directories that
/// are `opened` may be read, but for what is itself one of them, or is `hidden`.
pub const More = struct {
    connects: bool = false,
    opened: []const i32 = &.{},
    hidden: []const i32 = &.{},
};

/// Confine this process to `rules`, for good, and `more`; the errno of the step that failed. Needs
/// no_new_privs, and version 6, the first that keeps signals and abstract sockets of other processes away.
pub fn confine(rules: []const Rule, more: More) ?linux.E {
    const attributes = Attributes{
        .files = everything,
        .network = if (more.connects) bind_tcp else bind_tcp | connect_tcp,
        .scoped = scope_abstract_sockets | scope_signals,
    };
    const ruleset = linux.syscall3(
        .landlock_create_ruleset,
        @intFromPtr(&attributes),
        @sizeOf(Attributes),
        0,
    );
    if (failed(ruleset)) |errno| return errno;
    defer _ = linux.close(@intCast(ruleset));
    for (rules) |rule| {
        if (allow(ruleset, rule)) |errno| return errno;
    }
    for (more.opened) |directory| {
        if (allowWithin(ruleset, directory, more)) |errno| return errno;
    }
    return failed(linux.syscall2(.landlock_restrict_self, ruleset, 0));
}

fn allow(ruleset: usize, rule: Rule) ?linux.E {
    var found: linux.Statx = undefined;
    if (failed(look(rule.descriptor, &found))) |errno| return errno;
    const rights: u64 = switch (rule.access) {
        .read => Files.read,
        .write => Files.write,
        .use => Files.use,
    };
    // The kernel refuses for a file what only a directory has.
    const beneath = Beneath{
        .rights = if (linux.S.ISDIR(found.mode)) rights else rights & Files.of_a_file,
        .descriptor = rule.descriptor,
    };
    return failed(linux.syscall4(
        .landlock_add_rule,
        ruleset,
        rule_path_beneath,
        @intFromPtr(&beneath),
        0,
    ));
}

/// Allow reading what is in a directory, entry by entry: whatever is allowed for the directory itself would be
/// so for all below it.
fn allowWithin(ruleset: usize, directory: i32, more: More) ?linux.E {
    // A descriptor that is open for its path alone cannot be read.
    const opened = linux.openat(directory, ".", .{ .DIRECTORY = true, .CLOEXEC = true }, 0);
    if (failed(opened)) |errno| return errno;
    defer _ = linux.close(@intCast(opened));
    var reader = Reader{ .directory = @intCast(opened) };
    while (reader.next()) |name| {
        if (allowEntry(ruleset, reader.directory, name, more)) |errno| return errno;
    }
    return reader.fault;
}

fn allowEntry(ruleset: usize, directory: i32, name: [*:0]const u8, more: More) ?linux.E {
    const opened = linux.openat(directory, name, .{ .PATH = true, .NOFOLLOW = true, .CLOEXEC = true }, 0);
    // It may have gone, or be somebody else's.
    if (failed(opened) != null) return null;
    const entry: i32 = @intCast(opened);
    defer _ = linux.close(entry);
    var found: linux.Statx = undefined;
    if (failed(look(entry, &found))) |errno| return errno;
    // A link has no contents, and where it leads is allowed by itself.
    if (!linux.S.ISDIR(found.mode) and !linux.S.ISREG(found.mode)) return null;
    for ([_][]const i32{ more.opened, more.hidden }) |others| {
        for (others) |other| {
            var known: linux.Statx = undefined;
            if (failed(look(other, &known))) |errno| return errno;
            const is_it = found.ino == known.ino and found.dev_major == known.dev_major and
                found.dev_minor == known.dev_minor;
            if (is_it) return null;
        }
    }
    return allow(ruleset, .{ .descriptor = entry, .access = .read });
}

fn look(descriptor: i32, found: *linux.Statx) usize {
    const wanted = linux.STATX_TYPE | linux.STATX_INO;
    return linux.statx(descriptor, "", linux.AT.EMPTY_PATH, wanted, found);
}

// linux/landlock.h.
const rule_path_beneath = 1;
const bind_tcp = 1 << 0;
const connect_tcp = 1 << 1;
const scope_abstract_sockets = 1 << 0;
const scope_signals = 1 << 1;

/// Sixteen rights, of version 5: all that have to do with files.
const everything = (1 << 16) - 1;

const Files = struct {
    const execute = 1 << 0;
    const write_file = 1 << 1;
    const read_file = 1 << 2;
    const read_directory = 1 << 3;
    const make_character_device = 1 << 6;
    const make_block_device = 1 << 11;
    const truncate = 1 << 14;
    const ioctl_device = 1 << 15;

    const of_a_file = execute | write_file | read_file | truncate | ioctl_device;
    const read = execute | read_file | read_directory;
    const write = everything & ~@as(u64, make_character_device | make_block_device | ioctl_device);
    const use = read_file | write_file | truncate;
};

const Attributes = extern struct { files: u64, network: u64, scoped: u64 };

const Beneath = extern struct { rights: u64 align(4), descriptor: i32 };
