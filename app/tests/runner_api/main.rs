//! The runners' door and the images' door, on a real store.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod door;

mod claims;
mod images;
mod jobs;
