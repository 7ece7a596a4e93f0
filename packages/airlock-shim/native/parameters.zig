//! The `params` of the daemon's notifications.
//!
//! Output is passed on as it is decoded, so a notification may have any length. That takes no
//! more than knowing what it is when its data begins: `method`, `stream` and `encoding` before
//! `data`, as our daemon sends them. In any other order the data is held, up to a bound.

const base64 = @import("base64.zig");
const features_module = @import("features.zig");
const output_module = @import("output.zig");
const Reader = @import("json_reader.zig").Reader;
const Error = @import("json_reader.zig").Error;
const Text = @import("text.zig").Text;
const Features = features_module.Features;
const Output = output_module.Output;
const Stream = output_module.Stream;

/// What a notification is about; `absent` while its name is still to come.
pub const Method = enum { absent, output, start, credit, other };

pub const Storage = struct {
    stream: [32]u8,
    encoding: [32]u8,
    encoded: [16 * 1024]u8,
};

pub const Parameters = struct {
    reader: *Reader,
    output: *Output,
    /// Whether `encoding` means something: the feature `base64` is in use.
    may_be_encoded: bool = false,
    encoded: []u8,
    stream: Text,
    encoding: Text,
    has_encoding: bool = false,
    /// The data of this message: not there, held, or on its way already.
    data: enum { absent, held, passed } = .absent,
    features: Features = .{},
    stdin_credit: u64 = 0,
    credit: u64 = 0,

    pub fn init(reader: *Reader, output: *Output, storage: *Storage) Parameters {
        return .{
            .reader = reader,
            .output = output,
            .encoded = &storage.encoded,
            .stream = .{ .storage = &storage.stream },
            .encoding = .{ .storage = &storage.encoding },
        };
    }

    pub fn clear(parameters: *Parameters) void {
        parameters.output.drop();
        parameters.stream.clear();
        parameters.encoding.clear();
        parameters.has_encoding = false;
        parameters.data = .absent;
        parameters.features = .{};
        parameters.stdin_credit = 0;
        parameters.credit = 0;
    }

    /// Sets what a message of output says before its data.
    pub fn set(parameters: *Parameters, stream: Stream, comptime encoding: ?[]const u8) void {
        parameters.stream.set(@tagName(stream));
        if (encoding) |name| parameters.encoding.set(name);
        parameters.has_encoding = encoding != null;
    }

    /// Reads the members of the object up to its closing brace. `is_first` is false where some
    /// were read already; `name` is where their names go.
    pub fn readMembers(
        parameters: *Parameters,
        method: Method,
        from_start: bool,
        name: *Text,
    ) Error!void {
        const reader = parameters.reader;
        var is_first = from_start;
        while (try reader.nextMember(&is_first, name)) {
            const is_output = method == .output or method == .absent;
            const is_start = method == .start or method == .absent;
            if (is_output and name.equals("stream")) {
                parameters.stream.clear();
                try reader.string(&parameters.stream);
            } else if (is_output and name.equals("encoding")) {
                try parameters.readEncoding();
            } else if (is_output and name.equals("data")) {
                try parameters.readData(method);
            } else if (is_start and name.equals("features")) {
                parameters.features = try features_module.read(reader, name);
            } else if (is_start and name.equals("stdin_credit")) {
                parameters.stdin_credit = try reader.count() orelse 0;
            } else if (method != .output and name.equals("bytes")) {
                parameters.credit = try reader.count() orelse 0;
            } else try reader.skip();
        }
    }

    fn readEncoding(parameters: *Parameters) Error!void {
        parameters.has_encoding = try parameters.reader.peekToken() == '"';
        if (!parameters.has_encoding) return parameters.reader.skip();
        parameters.encoding.clear();
        try parameters.reader.string(&parameters.encoding);
    }

    /// Passes the string that comes next on as output, or holds it while it is not known what it
    /// is.
    pub fn readData(parameters: *Parameters, method: Method) Error!void {
        const reader = parameters.reader;
        const output = parameters.output;
        const is_directed = method == .output and parameters.stream.length > 0;
        if (is_directed) output.select(try parameters.target());
        if (!is_directed or (parameters.may_be_encoded and !parameters.has_encoding)) {
            parameters.data = .held;
            output.drop();
            output.hold(if (is_directed) .likely_text else .undirected);
            try reader.string(output);
            if (is_directed or !output.overflowed) return;
            return reader.fail("more than 4 MiB of output comes before the name of its stream");
        }
        parameters.data = .passed;
        if (!try parameters.isEncoded()) return reader.string(output);
        var sink: base64.Sink = .{ .storage = parameters.encoded, .output = output };
        try reader.string(&sink);
        if (!sink.isGood()) return parameters.failEncoding();
    }

    /// Lets output go that was held, now that all of its message was read.
    pub fn concludeOutput(parameters: *Parameters) Error!void {
        const reader = parameters.reader;
        const output = parameters.output;
        switch (parameters.data) {
            .absent => return reader.fail("an output message has no data"),
            .passed => return,
            .held => {},
        }
        const stream = try parameters.target();
        if (!try parameters.isEncoded()) return output.release(stream);
        // All but the encoding was known, and it was taken for text.
        if (output.overflowed) return reader.fail(
            "more than 4 MiB of output comes before its encoding",
        );
        output.releaseDecoded(stream) catch return parameters.failEncoding();
    }

    fn target(parameters: *Parameters) Error!Stream {
        const problem = "output of an unknown stream";
        if (parameters.stream.overflowed) return parameters.reader.fail(problem);
        return Stream.named(parameters.stream.bytes()) orelse parameters.reader.fail(problem);
    }

    fn isEncoded(parameters: *Parameters) Error!bool {
        if (!parameters.may_be_encoded or !parameters.has_encoding) return false;
        if (parameters.encoding.equals("base64")) return true;
        return parameters.reader.fail("output has an unknown encoding");
    }

    fn failEncoding(parameters: *Parameters) error{Malformed} {
        return parameters.reader.fail("output that should be base64 is not");
    }
};
