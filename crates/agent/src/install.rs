//! Puts this program where a container of another image can run it.

use std::io;
use std::path::Path;

/// # Errors
/// When the folder cannot be written.
pub fn install(folder: &Path) -> io::Result<()> {
    let unfinished = folder.join(".berth-agent.new");
    std::fs::copy(std::env::current_exe()?, &unfinished)?;
    std::fs::rename(unfinished, folder.join("berth-agent"))
}
