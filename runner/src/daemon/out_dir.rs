//! Reads what a job left in its output folder. The job wrote it, so every name there may be a
//! link, a pipe or a device, and every file may be something else than its name says.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use bytes::Bytes;
use difftest_core::ids::ImageSha;
use difftest_core::protocol::{MAX_IMAGE_BYTES, MAX_IMAGE_SIDE};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    #[error("it cannot be opened: {0}")]
    Open(#[from] rustix::io::Errno),
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it is larger than {MAX_IMAGE_BYTES} bytes")]
    TooLarge,
    #[error("it is not a PNG file of at most {MAX_IMAGE_SIDE} pixels a side")]
    NotPng,
    #[error("its contents have another SHA-256 than its name")]
    OtherContents,
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// An output folder, opened before the job could touch it.
#[derive(Debug)]
pub struct OutDir(OwnedFd);

const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);
/// Without `NONBLOCK`, opening a pipe would wait for its writer.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

impl OutDir {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// The image of this name, if it is what its name says.
    pub fn image(&self, sha: &ImageSha) -> Result<Bytes, ImageFault> {
        let images = openat(&self.0, "images", FOLDER, Mode::empty())?;
        let file = openat(&images, format!("{sha}.png"), FILE, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(ImageFault::NotRegular);
        }
        // It may grow while it is read, so the size is not trusted.
        let mut bytes = Vec::new();
        File::from(file).take(MAX_IMAGE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_IMAGE_BYTES {
            return Err(ImageFault::TooLarge);
        }
        if ImageSha::of(&bytes) != *sha {
            return Err(ImageFault::OtherContents);
        }
        if !is_png_within_limits(&bytes) {
            return Err(ImageFault::NotPng);
        }
        Ok(bytes.into())
    }
}

/// By the signature and the header, PNG (third edition) 5.2 and 11.2.1; nothing is decoded.
fn is_png_within_limits(bytes: &[u8]) -> bool {
    let Some(header) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR") else {
        return false;
    };
    let side = |at: usize| -> Option<u32> {
        Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?))
    };
    [side(0), side(4)]
        .iter()
        .all(|side| side.is_some_and(|side| (1..=MAX_IMAGE_SIDE).contains(&side)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test should panic")]
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 2, 0, 0, 0]);
        bytes
    }

    fn folder() -> (tempfile::TempDir, OutDir) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("images")).unwrap();
        let out = OutDir::open(folder.path()).unwrap();
        (folder, out)
    }

    fn put(folder: &tempfile::TempDir, bytes: &[u8]) -> (ImageSha, std::path::PathBuf) {
        let sha = ImageSha::of(bytes);
        let path = folder.path().join(format!("images/{sha}.png"));
        std::fs::write(&path, bytes).unwrap();
        (sha, path)
    }

    #[test]
    fn an_image_is_read_when_it_is_what_its_name_says() {
        let (folder, out) = folder();
        let (sha, path) = put(&folder, &png(32, 32));
        assert_eq!(out.image(&sha).unwrap(), png(32, 32));
        std::fs::write(path, png(33, 32)).unwrap();
        assert!(matches!(out.image(&sha), Err(ImageFault::OtherContents)));
    }

    #[test]
    fn other_files_and_huge_pictures_are_refused() {
        let (folder, out) = folder();
        let (text, _) = put(&folder, b"#!/bin/sh");
        assert!(matches!(out.image(&text), Err(ImageFault::NotPng)));
        let (huge, _) = put(&folder, &png(MAX_IMAGE_SIDE + 1, 1));
        assert!(matches!(out.image(&huge), Err(ImageFault::NotPng)));
    }

    #[test]
    fn links_pipes_and_folders_are_refused() {
        let (folder, out) = folder();
        let (sha, path) = put(&folder, &png(1, 1));
        let elsewhere = folder.path().join("secret.png");
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(matches!(out.image(&sha), Err(ImageFault::Open(rustix::io::Errno::LOOP))));

        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(out.image(&sha), Err(ImageFault::NotRegular)));

        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(out.image(&sha), Err(ImageFault::NotRegular)));

        let images = folder.path().join("images");
        std::fs::rename(&images, folder.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("moved"), &images).unwrap();
        assert!(matches!(out.image(&sha), Err(ImageFault::Open(_))));
    }
}
