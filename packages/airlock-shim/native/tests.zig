//! All unit tests: `zig test tests.zig`.

test {
    _ = @import("command_name.zig");
    _ = @import("container.zig");
    _ = @import("diagnostics.zig");
    _ = @import("endpoint.zig");
    _ = @import("exit_status.zig");
    _ = @import("input.zig");
    _ = @import("install.zig");
    _ = @import("json_reader.zig");
    _ = @import("json_string.zig");
    _ = @import("message.zig");
    _ = @import("request.zig");
    _ = @import("response.zig");
    _ = @import("socket_directory.zig");
    _ = @import("socket_path.zig");
    _ = @import("text.zig");
    _ = @import("unreachable_daemon.zig");
}
