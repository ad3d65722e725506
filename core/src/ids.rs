//! Identifiers, checked once at the edge so that the inside never re-checks them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An identifier that was not of its kind's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct InvalidId {
    value: String,
    expected: &'static str,
}

macro_rules! checked_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::try_from(value.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidId { value: value.chars().take(80).collect(), expected: $expected })
                }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_lower_hex(value: &str, length: usize) -> bool {
    value.len() == length && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

checked_id!(
    /// SHA-256 of an image file's bytes, as 64 lower-case hexadecimal digits. It is the image's
    /// name in every store, so it must never reach a path or a URL unchecked.
    ImageSha,
    "a SHA-256 of 64 lower-case hexadecimal digits",
    |v| is_lower_hex(v, 64)
);

checked_id!(
    /// A git commit, as the 40 lower-case hexadecimal digits of its SHA-1.
    CommitSha,
    "a commit SHA of 40 lower-case hexadecimal digits",
    |v| is_lower_hex(v, 40)
);

checked_id!(
    /// `owner/name` of a GitHub repository.
    RepoName,
    "a repository of the form owner/name",
    |v| {
        let part = |p: &str| {
            !p.is_empty()
                && p.len() <= 100
                && p != "."
                && p != ".."
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        v.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
    }
);

impl ImageSha {
    /// The identity of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }
}

impl CommitSha {
    /// The first seven digits, as git shows a commit to a person.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl RepoName {
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_leave_its_folder_is_refused() {
        for bad in ["../../etc/passwd", "", "ABCDEF", "a/b/c", "../x", "acme/..", "acme/"] {
            assert!(ImageSha::from_str(bad).is_err(), "{bad}");
            assert!(CommitSha::from_str(bad).is_err(), "{bad}");
            assert!(RepoName::from_str(bad).is_err(), "{bad}");
        }
        assert_eq!(
            RepoName::from_str("acme/image-gen").map(|r| r.name().to_owned()),
            Ok("image-gen".into())
        );
        assert_eq!(ImageSha::of(b"").as_str().len(), 64);
    }
}
