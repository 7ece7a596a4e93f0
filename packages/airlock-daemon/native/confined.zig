//! For the tests: shows the filters, and runs programs under one or with limits. No part of the launcher.
//!
//!     confined show PROCESSOR SOCKETS         the filter, as the kernel takes it, on stdout
//!     confined unboxed PROCESSOR              the same of what runs outside of boxes
//!     confined run SOCKETS PROGRAM [ARG...]   PROGRAM by its path, with this environment
//!     confined limit PROCESSES DATA FILE_SIZE OPEN_FILES PROGRAM [ARG...]
//!     confined memory PROGRAM                 the same from a file that has no path
//!     confined wait                           says `waiting`, and waits for the end of stdin

const std = @import("std");
const linux = std.os.linux;
const limits = @import("limits.zig");
const program = @import("seccomp/program.zig");
const seccomp = @import("seccomp/install.zig");
const unboxed = @import("seccomp/unboxed.zig");

const Fault = error{ Usage, Unsupported, Refused, CannotLimit, CannotExecute };

pub fn main() u8 {
    obey(std.os.argv) catch |fault| {
        const name = @errorName(fault);
        _ = linux.write(2, name.ptr, name.len);
        return 70;
    };
    return 0;
}

fn obey(words: []const [*:0]u8) Fault!void {
    const Deed = enum { show, unboxed, run, limit, memory, wait };
    if (words.len < 2) return error.Usage;
    const deed = try read(Deed, words[1]);
    const needed: usize = switch (deed) {
        .show, .run => 4,
        .limit => 7,
        .unboxed, .memory => 3,
        .wait => 2,
    };
    if (words.len < needed) return error.Usage;
    switch (deed) {
        .show => {
            print(find(try read(program.Processor, words[2]), try read(seccomp.Sockets, words[3])));
        },
        .unboxed => switch (try read(program.Processor, words[2])) {
            inline else => |each| print(comptime unboxed.build(each)),
        },
        .run => {
            if (seccomp.confine(try read(seccomp.Sockets, words[2]))) |errno|
                return if (errno == .NOSYS) error.Unsupported else error.Refused;
            return execute(words[3..]);
        },
        .limit => {
            const fault = limits.set(.{
                .processes = try readNumber(words[2]),
                .data = try readNumber(words[3]),
                .file_size = try readNumber(words[4]),
                .open_files = try readNumber(words[5]),
            });
            return if (fault == null) execute(words[6..]) else error.CannotLimit;
        },
        .memory => return executeMemory(words[2]),
        .wait => {
            var byte: [1]u8 = undefined;
            _ = linux.write(1, "waiting\n", 8);
            while (linux.read(0, &byte, byte.len) == byte.len) {}
        },
    }
}

fn print(instructions: []const program.Instruction) void {
    const bytes = std.mem.sliceAsBytes(instructions);
    _ = linux.write(1, bytes.ptr, bytes.len);
}

fn read(comptime Choice: type, word: [*:0]const u8) Fault!Choice {
    return std.meta.stringToEnum(Choice, std.mem.span(word)) orelse error.Usage;
}

fn readNumber(word: [*:0]const u8) Fault!u64 {
    return std.fmt.parseInt(u64, std.mem.span(word), 10) catch error.Usage;
}

fn execute(words: []const [*:0]u8) Fault {
    _ = linux.execve(words[0], @ptrCast(words.ptr), @ptrCast(std.os.environ.ptr));
    return error.CannotExecute;
}

fn executeMemory(path: [*:0]const u8) Fault {
    const opened = linux.open(path, .{}, 0);
    const made = linux.memfd_create("program", 0);
    if (linux.E.init(opened) != .SUCCESS or linux.E.init(made) != .SUCCESS) return error.CannotExecute;
    var buffer: [65536]u8 = undefined;
    while (true) {
        const length = linux.read(@intCast(opened), &buffer, buffer.len);
        if (linux.E.init(length) != .SUCCESS or length == 0) break;
        _ = linux.write(@intCast(made), &buffer, length);
    }
    const words = [_:null]?[*:0]const u8{path};
    const environment: [*:null]const ?[*:0]const u8 = @ptrCast(std.os.environ.ptr);
    _ = linux.syscall5(.execveat, made, @intFromPtr(""), @intFromPtr(&words), @intFromPtr(environment), linux.AT.EMPTY_PATH);
    var link: [32]u8 = undefined;
    _ = linux.execve(std.fmt.bufPrintZ(&link, "/proc/self/fd/{d}", .{made}) catch unreachable, &words, environment);
    return error.CannotExecute;
}

fn find(processor: program.Processor, sockets: seccomp.Sockets) []const program.Instruction {
    switch (processor) {
        inline else => |each| switch (sockets) {
            inline else => |allowed| return comptime program.build(each, allowed),
        },
    }
}
