//! The key of image links: made once, kept beside the images.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use rand::RngCore as _;
use sha2::Sha256;

const FILE: &str = "image-links.key";
const BYTES: usize = 32;

/// 256 random bits. Whoever has them can make links to every image.
#[derive(Clone)]
pub struct ImageKey([u8; BYTES]);

impl fmt::Debug for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageKey(…)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImageKeyError {
    #[error("the key of image links, {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "the key of image links, {path}, is not {BYTES} bytes in hexadecimal; remove it for a \
         new one (links in older comments then end)"
    )]
    Malformed { path: PathBuf },
}

impl ImageKey {
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads the key in `data_dir`, or makes one that only this user can read.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, ImageKeyError> {
        let path = data_dir.join(FILE);
        let failed = |source| ImageKeyError::File { path: path.clone(), source };
        let mut made = [0; BYTES];
        rand::rng().fill_bytes(&mut made);
        // Written whole under another name and then given its own: of two processes that start
        // together, one wins and both read what it wrote.
        let draft = data_dir.join(format!("{FILE}.{}", uuid::Uuid::new_v4().simple()));
        if !path.exists() {
            write_private(&draft, &hex::encode(made)).map_err(failed)?;
            let linked = std::fs::hard_link(&draft, &path);
            std::fs::remove_file(&draft).map_err(failed)?;
            match linked {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes)
            .map_err(|_| ImageKeyError::Malformed { path: path.clone() })?;
        Ok(Self(bytes))
    }

    pub(super) fn mac(&self) -> Hmac<Sha256> {
        // HMAC takes keys of every length; this one has its block's half.
        Hmac::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("HMAC takes every length"))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let first = ImageKey::load_or_create(folder.path()).unwrap();
        let again = ImageKey::load_or_create(folder.path()).unwrap();
        assert_eq!(first.0, again.0);
        assert_ne!(first.0, [0; BYTES]);
        assert_eq!(format!("{first:?}"), "ImageKey(…)");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_key_is_named_and_not_replaced_in_silence() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join(FILE), "short").unwrap();
        let error = ImageKey::load_or_create(folder.path()).unwrap_err();
        assert!(error.to_string().contains("image-links.key"), "{error}");
    }
}
