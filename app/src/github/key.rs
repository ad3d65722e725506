//! The App's private key and the JSON Web Tokens it signs.
//!
//! RS256 comes from ring, through rustls, which is here anyway: the pure-Rust `rsa` crate that the
//! JWT libraries offer beside it is open to a timing attack (RUSTSEC-2023-0071).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use difftest_core::protocol::Secret;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;

/// GitHub refuses a token that lives longer than ten minutes, and one from its future: the start
/// lies a minute back for a clock that runs ahead, the end nine minutes ahead for one that lags.
const BACKDATED: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(9 * 60);

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "the App's private key is not a PEM file of an RSA key; download it from the App's settings \
         (\"Private keys\" → \"Generate a private key\")"
    )]
    NotRsa,
    #[error("the App's private key could not sign: {0}")]
    Sign(#[source] rustls::Error),
}

/// Signs as the App. Its `Debug` shows nothing of the key.
#[derive(Clone)]
pub struct AppKey {
    app_id: u64,
    key: Arc<dyn SigningKey>,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppKey").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl AppKey {
    /// Reads the PEM file GitHub gives out (PKCS #1), or the same key as PKCS #8.
    pub fn from_pem(app_id: u64, pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::NotRsa)?;
        let key =
            rustls::crypto::ring::sign::any_supported_type(&der).map_err(|_| KeyError::NotRsa)?;
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(KeyError::NotRsa)?;
        Ok(Self { app_id, key })
    }

    pub fn app_id(&self) -> u64 {
        self.app_id
    }

    /// A token that says "I am the App", good for a few minutes.
    pub fn token(&self, now: SystemTime) -> Result<Secret, KeyError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = serde_json::json!({
            "iat": now.saturating_sub(BACKDATED).as_secs(),
            "exp": (now + LIFE).as_secs(),
            "iss": self.app_id,
        });
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signer =
            self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(KeyError::NotRsa)?;
        let signature = signer.sign(message.as_bytes()).map_err(KeyError::Sign)?;
        Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
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
