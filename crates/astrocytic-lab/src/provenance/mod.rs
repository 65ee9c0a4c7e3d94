//! Where results come from: the program and the machine, and what a run in a folder is.

pub(crate) mod identity;
pub(crate) mod machine;
