//! Whether this process is the only App on its data directory.
//!
//! Several may share one. A process that starts alone, though, is what comes after a crash or an
//! update, and need not wait for the leases of the one before it to run out.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Held by every App for its whole life; released by the system however it ends.
#[derive(Debug)]
pub(crate) struct Tenancy {
    _lock: File,
    pub(crate) alone: bool,
}

impl Tenancy {
    pub(crate) fn take(data_dir: &Path) -> std::io::Result<Self> {
        let path = data_dir.join("app.lock");
        let lock = OpenOptions::new().create(true).append(true).open(path)?;
        let alone = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        // From here on shared: a second App must be able to see that it is not alone.
        if alone {
            lock.unlock()?;
        }
        lock.lock_shared()?;
        Ok(Self { _lock: lock, alone })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn the_first_is_alone_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = Tenancy::take(folder.path()).unwrap();
        assert!(first.alone);
        let second = Tenancy::take(folder.path()).unwrap();
        assert!(!second.alone);
        drop(first);
        assert!(!Tenancy::take(folder.path()).unwrap().alone);
        drop(second);
        assert!(Tenancy::take(folder.path()).unwrap().alone);
    }
}
