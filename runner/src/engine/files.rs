//! Writing files so that nobody ever reads half of one.

use std::io::Write as _;
use std::path::Path;

use super::error::EngineError;

/// Writes a file beside its place and moves it there: a reader sees all of it or nothing.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(EngineError::file("write", path))
}
