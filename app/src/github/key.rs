//! The App's identity towards GitHub: its id and its private key.

use octocrab::auth::EncodingKey;

#[derive(Debug, thiserror::Error)]
#[error(
    "the App's private key is not a PEM file of an RSA key; download it from the App's settings \
     (\"Private keys\" → \"Generate a private key\")"
)]
pub struct KeyError;

/// Signs as the App. Its `Debug` shows nothing of the key.
#[derive(Clone)]
pub struct AppKey {
    pub(super) app_id: u64,
    pub(super) key: EncodingKey,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppKey").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl AppKey {
    /// Reads the PEM file GitHub gives out (PKCS #1), or the same key as PKCS #8.
    pub fn from_pem(app_id: u64, pem: &[u8]) -> Result<Self, KeyError> {
        let key = EncodingKey::from_rsa_pem(pem).map_err(|_| KeyError)?;
        Ok(Self { app_id, key })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn what_is_no_rsa_key_is_refused_with_where_to_get_one() {
        let error = AppKey::from_pem(1, b"not a key").unwrap_err();
        assert!(error.to_string().contains("Generate a private key"), "{error}");
    }
}
