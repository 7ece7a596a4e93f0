//! Raw system calls return an errno as a small negative number.

const linux = @import("std").os.linux;

/// Why a system call failed; null if it did not.
pub fn failed(result: usize) ?linux.E {
    const errno = linux.E.init(result);
    return if (errno == .SUCCESS) null else errno;
}
