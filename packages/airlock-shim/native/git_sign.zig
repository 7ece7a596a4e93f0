//! `git-sign`, as git calls it in the place of ssh-keygen (gpg.ssh.program) and gpg (gpg.program), and
//! for the key to sign with (gpg.ssh.defaultKeyCommand).
//!
//! The daemon signs, with a key of the host: whichever git names here is not looked at. To verify a
//! signature takes no key, and is for the image's own ssh-keygen or gpg.

const std = @import("std");
const system = @import("system.zig");
const command_name = @import("command_name.zig");
const error_number = @import("error_number.zig");
const exit_status = @import("exit_status.zig");
const install = @import("install.zig");
const invocation_module = @import("invocation.zig");
const session = @import("session.zig");
const stdio = @import("stdio.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;
const linux = system.linux;

const Words = []const [*:0]const u8;

/// What is to be done for the words that git-sign is called with.
const Task = union(enum) {
    /// The words are those of the daemon's command itself.
    pass,
    /// Say which key signs.
    key,
    /// Sign this file.
    sign: [:0]const u8,
    /// Sign stdin by OpenPGP.
    openpgp,
    /// Words for this program of the image.
    verify: []const u8,
    /// Words of a signing git that this shim does not know.
    unknown,
};

/// As git calls ssh-keygen, `-Y sign -n git -f KEY [-U] FILE`, and gpg, `--status-fd=2 -bsau KEY`.
fn read(args: Words) Task {
    if (args.len == 0) return .key;
    if (args.len == 3 and isWord(args[0], "--status-fd=2") and isWord(args[1], "-bsau")) {
        return .openpgp;
    }
    if (std.mem.startsWith(u8, std.mem.span(args[0]), "--")) return .{ .verify = "gpg" };
    if (!isWord(args[0], "-Y")) return .pass;
    if (args.len == 1 or !isWord(args[1], "sign")) return .{ .verify = "ssh-keygen" };
    var file: ?[:0]const u8 = null;
    var at: usize = 2;
    while (at < args.len) : (at += 1) {
        const word = std.mem.span(args[at]);
        if (isWord(word, "-f") or isWord(word, "-n")) {
            at += 1;
            if (at == args.len) return .unknown;
            if (isWord(word, "-n") and !isWord(args[at], "git")) return .unknown;
        } else if (!isWord(word, "-U")) {
            if (file != null or word.len == 0 or word[0] == '-') return .unknown;
            file = word;
        }
    }
    return if (file) |found| .{ .sign = found } else .unknown;
}

fn isWord(word: [*:0]const u8, expected: []const u8) bool {
    return std.mem.eql(u8, std.mem.span(word), expected);
}

/// Does what git wants, and answers the exit status; null where the words are the daemon's.
///
/// Not inline, as its paths would be on the stack of every command.
pub noinline fn run(args: Words, environment: Words, memory: *session.Memory) ?u8 {
    switch (read(args)) {
        .pass => return null,
        .key => {
            // git's own stdin may be a terminal, and what is typed there is not for the daemon.
            const nothing = system.open("/dev/null", .{ .CLOEXEC = true });
            if (nothing.ok()) moveTo(0, nothing.descriptor());
            return ask("ssh-key", environment, memory);
        },
        .sign => |file| return sign(file, environment, memory),
        .openpgp => return ask("openpgp", environment, memory),
        .verify => |program| return verify(program, environment),
        .unknown => {
            report(&.{.{ .plain = "git signs by words that this shim does not know" }});
            diagnostics.advise(.{ .plain = "use a git from 2.34 on, and in its configuration " ++
                "gpg.format ssh" });
            return exit_status.usage;
        },
    }
}

/// Signs `file`: the signature is in FILE.sig, as ssh-keygen writes it.
fn sign(file: [:0]const u8, environment: Words, memory: *session.Memory) u8 {
    var buffer: install.PathBuffer = undefined;
    const signature = std.fmt.bufPrintZ(&buffer, "{s}.sig", .{file}) catch
        return refuse(file, .NAMETOOLONG);
    const reading = system.open(file, .{ .CLOEXEC = true });
    if (!reading.ok()) return refuse(file, reading.errno);
    const flags: linux.O = .{ .ACCMODE = .WRONLY, .CREAT = true, .TRUNC = true, .CLOEXEC = true };
    const writing = system.resultOf(linux.open(signature, flags, 0o600));
    if (!writing.ok()) return refuse(signature, writing.errno);
    moveTo(0, reading.descriptor());
    moveTo(1, writing.descriptor());
    const status = ask("ssh", environment, memory);
    if (status != 0) _ = system.remove(signature);
    return status;
}

/// Has a descriptor the number of another, in its place.
fn moveTo(number: i32, fd: i32) void {
    _ = linux.dup2(fd, number);
    system.close(fd);
}

noinline fn ask(word: [:0]const u8, environment: Words, memory: *session.Memory) u8 {
    const invocation: session.Invocation = .{
        .command = command_name.git_sign,
        .first = word,
        .args = &.{},
        .environment = environment,
        .stdio = stdio.prepare(),
    };
    return session.run(&invocation, invocation.variable("AIRLOCK_SOCKET"), memory);
}

fn refuse(path: []const u8, errno: system.Errno) u8 {
    report(&.{
        .{ .plain = "cannot open " },
        .{ .shown = path },
        .{ .plain = ", where git has what is to be signed: " },
        .{ .plain = error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = "see that git can write to its TMPDIR, else /tmp" });
    return exit_status.daemon_failed;
}

/// Becomes the image's `program`, with the process's own words; returns where there is none.
fn verify(program: []const u8, environment: Words) u8 {
    const search = invocation_module.find(environment, "PATH") orelse "";
    var directories = std.mem.splitScalar(u8, search, ':');
    var buffer: install.PathBuffer = undefined;
    while (directories.next()) |directory| {
        if (!std.mem.startsWith(u8, directory, "/")) continue;
        const path = install.joinPath(&buffer, directory, program) orelse continue;
        if (!system.isExecutable(path)) continue;
        _ = linux.execve(path, @ptrCast(std.os.argv.ptr), @ptrCast(environment.ptr));
    }
    report(&.{
        .{ .plain = "there is no " },
        .{ .plain = program },
        .{ .plain = " on PATH to verify a signature with" },
    });
    diagnostics.advise(.{ .plain = "install the image's OpenSSH client or GnuPG, or verify on the " ++
        "host" });
    return exit_status.unknown_command;
}

test "words are read as git writes them" {
    const expect = std.testing.expect;
    const expectEqualStrings = std.testing.expectEqualStrings;
    try expect(read(&.{}) == .key);
    try expect(read(&.{"ssh"}) == .pass);
    const plain = read(&.{ "-Y", "sign", "-n", "git", "-f", "/k.pub", "/tmp/buffer" });
    try expectEqualStrings("/tmp/buffer", plain.sign);
    const literal = read(&.{ "-Y", "sign", "-n", "git", "-f", "-odd", "-U", "/tmp/buffer" });
    try expectEqualStrings("/tmp/buffer", literal.sign);
    try expect(read(&.{ "-Y", "verify", "-n", "git", "-f", "signers" }) == .verify);
    try expect(read(&.{ "-Y", "find-principals", "-f", "signers" }) == .verify);
    try expect(read(&.{ "-Y", "check-novalidate", "-n", "git" }) == .verify);
    try expect(read(&.{ "--status-fd=2", "-bsau", "KEY" }) == .openpgp);
    try expectEqualStrings("gpg", read(&.{ "--status-fd=1", "--verify", "file", "-" }).verify);
    try expect(read(&.{ "-Y", "sign" }) == .unknown);
    try expect(read(&.{ "-Y", "sign", "-n" }) == .unknown);
    try expect(read(&.{ "-Y", "sign", "-n", "file", "-f", "k", "x" }) == .unknown);
    try expect(read(&.{ "-Y", "sign", "-n", "git", "-f", "k", "x", "y" }) == .unknown);
    try expect(read(&.{ "-Y", "sign", "-n", "git", "-f", "k", "-O", "x" }) == .unknown);
}
