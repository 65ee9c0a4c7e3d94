//! What a command says on standard output.

use std::fmt::Display;
use std::io::Write;

/// A line on standard output; `println!` would panic where nobody reads any more.
pub(crate) fn say(line: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
