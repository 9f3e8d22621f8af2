//! What a module is told beside its arguments.

use std::ffi::OsString;

#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Say what would change and change nothing.
    pub check: bool,
    /// Put a `diff` into the result.
    pub diff: bool,
    /// Variables set for every command that the module runs.
    pub environment: Vec<(OsString, OsString)>,
    /// The module runs in a child with a process group of its own: what it starts stays in that group.
    pub grouped: bool,
}
