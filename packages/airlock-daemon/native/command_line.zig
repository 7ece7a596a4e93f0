//! The command line of the launcher: `CONTROL_FD DIR_FD NOFILE PROGRAM ARGV0 [ARG...]`.

const std = @import("std");

pub const usage = "airlock-launch CONTROL_FD DIR_FD NOFILE PROGRAM ARGV0 [ARG...]";

/// A null-terminated array of strings, as execve(2) takes it.
pub const Vector = [*:null]const ?[*:0]const u8;

pub const CommandLine = struct {
    /// The launcher's end of the SOCK_SEQPACKET pair that it shares with the daemon.
    control: i32,
    /// The directory in which the tool starts.
    directory: i32,
    /// The tool's soft limit of open files; the daemon has raised its own.
    open_files: u64,
    /// The path of the program to execute; nothing searches PATH for it.
    program: [*:0]const u8,
    /// The tool's argument vector, ARGV0 first. It is the tail of the launcher's own, because a
    /// copy of one that is near the kernel's limit would need memory of the same size.
    arguments: Vector,
};

pub const Fault = error{
    TooFewArguments,
    BadControlDescriptor,
    BadDirectoryDescriptor,
    BadOpenFilesLimit,
};

/// Read the vector that the kernel gave the process; it ends with a null pointer.
pub fn parse(argv: [][*:0]u8) Fault!CommandLine {
    if (argv.len < 6) return error.TooFewArguments;
    const control = parseDescriptor(argv[1]) orelse return error.BadControlDescriptor;
    const directory = parseDescriptor(argv[2]) orelse return error.BadDirectoryDescriptor;
    if (control == directory) return error.BadDirectoryDescriptor;
    return .{
        .control = control,
        .directory = directory,
        .open_files = parseNumber(u64, argv[3]) orelse return error.BadOpenFilesLimit,
        .program = argv[4],
        .arguments = @ptrCast(argv.ptr + 5),
    };
}

/// What to tell a person about a fault.
pub fn describe(fault: Fault) []const u8 {
    return switch (fault) {
        error.TooFewArguments => "too few arguments",
        error.BadControlDescriptor => "CONTROL_FD must be a number above 2",
        error.BadDirectoryDescriptor => "DIR_FD must be a number above 2 and not CONTROL_FD",
        error.BadOpenFilesLimit => "NOFILE must be a number",
    };
}

/// Descriptors 0 to 2 belong to the tool: neither of ours may be one of them.
fn parseDescriptor(text: [*:0]const u8) ?i32 {
    const descriptor = parseNumber(i32, text) orelse return null;
    return if (descriptor > 2) descriptor else null;
}

/// Decimal digits alone; std.fmt would also take a sign and underscores.
fn parseNumber(comptime T: type, text: [*:0]const u8) ?T {
    const digits = std.mem.span(text);
    if (digits.len == 0) return null;
    var value: T = 0;
    for (digits) |digit| {
        if (digit < '0' or digit > '9') return null;
        value = std.math.mul(T, value, 10) catch return null;
        value = std.math.add(T, value, digit - '0') catch return null;
    }
    return value;
}

/// A vector as the kernel lays it out, for the tests.
fn vector(comptime words: []const [:0]const u8) [words.len + 1]?[*:0]u8 {
    var pointers: [words.len + 1]?[*:0]u8 = undefined;
    inline for (words, 0..) |word, index| pointers[index] = @constCast(word.ptr);
    pointers[words.len] = null;
    return pointers;
}

fn parseWords(comptime words: []const [:0]const u8) Fault!CommandLine {
    var pointers = vector(words);
    const argv: [*][*:0]u8 = @ptrCast(&pointers);
    return parse(argv[0..words.len]);
}

test "a whole command line is read and the arguments stay where they are" {
    const words = [_][:0]const u8{ "launch", "3", "4", "1024", "/bin/git", "git", "push" };
    var pointers = vector(&words);
    const argv: [*][*:0]u8 = @ptrCast(&pointers);
    const command = try parse(argv[0..words.len]);
    try std.testing.expectEqual(3, command.control);
    try std.testing.expectEqual(4, command.directory);
    try std.testing.expectEqual(1024, command.open_files);
    try std.testing.expectEqualStrings("/bin/git", std.mem.span(command.program));
    try std.testing.expectEqual(@intFromPtr(&pointers[5]), @intFromPtr(command.arguments));
    try std.testing.expectEqualStrings("push", std.mem.span(command.arguments[1].?));
    try std.testing.expectEqual(null, command.arguments[2]);
}

test "a command line without ARGV0 is refused" {
    const words = [_][:0]const u8{ "launch", "3", "4", "1024", "/bin/git" };
    try std.testing.expectError(error.TooFewArguments, parseWords(&words));
    try std.testing.expectError(error.TooFewArguments, parseWords(&.{}));
}

test "descriptors that belong to the tool, or that are no numbers, are refused" {
    inline for (.{ "2", "0", "-1", "", "3x", "+3", "1_0", "4294967299", "99999999999999999999" }) |bad| {
        const control = [_][:0]const u8{ "launch", bad, "4", "1024", "/bin/git", "git" };
        try std.testing.expectError(error.BadControlDescriptor, parseWords(&control));
        const directory = [_][:0]const u8{ "launch", "3", bad, "1024", "/bin/git", "git" };
        try std.testing.expectError(error.BadDirectoryDescriptor, parseWords(&directory));
    }
}

test "one descriptor cannot be both the control socket and the directory" {
    const words = [_][:0]const u8{ "launch", "3", "3", "1024", "/bin/git", "git" };
    try std.testing.expectError(error.BadDirectoryDescriptor, parseWords(&words));
}

test "a limit that is no number is refused" {
    const words = [_][:0]const u8{ "launch", "3", "4", "-1", "/bin/git", "git" };
    try std.testing.expectError(error.BadOpenFilesLimit, parseWords(&words));
}
