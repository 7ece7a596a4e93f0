//! The version of the shim, the same as that of the Python distribution that carries it.

pub const text = "0.5.0";
