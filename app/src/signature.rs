//! GitHub's signature over a webhook's raw bytes. Pure.
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use difftest_core::protocol::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The secrets of the App's webhook: more than one while a new one is being rolled out.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<Secret>);

impl WebhookSecrets {
    /// One secret a line; empty lines do not count. None without any: a webhook without a secret
    /// would take orders from anybody.
    pub fn from_lines(text: &str) -> Option<Self> {
        let secrets: Vec<Secret> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect();
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// Whether `signature` (`sha256=` and 64 hexadecimal digits) was made over exactly these bytes
    /// with one of the secrets. Takes the same time whichever byte differs.
    pub fn signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some(claimed) =
            signature.strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok())
        else {
            return false;
        };
        self.0.iter().any(|secret| {
            Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&claimed).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    /// The example of GitHub's documentation.
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn githubs_own_example_is_accepted_with_any_of_the_secrets() {
        let secrets =
            WebhookSecrets::from_lines("new one\n\nIt's a Secret to Everybody\n").unwrap();
        assert!(secrets.signed(SIGNATURE, b"Hello, World!"));
        assert!(!secrets.signed(SIGNATURE, b"Hello, World?"));
        let other = WebhookSecrets::from_lines("other").unwrap();
        assert!(!other.signed(SIGNATURE, b"Hello, World!"));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let secrets = WebhookSecrets::from_lines("It's a Secret to Everybody").unwrap();
        let sha1 = SIGNATURE.replace("sha256", "sha1");
        for bad in ["", "sha256=", "sha256=zz", &SIGNATURE[7..], &SIGNATURE[..70], &sha1] {
            assert!(!secrets.signed(bad, b"Hello, World!"), "{bad}");
        }
        assert!(WebhookSecrets::from_lines("\n \n").is_none());
    }
}
