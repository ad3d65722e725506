//! Links to images that cannot be guessed and that end. Pure: no clock, no file.
//!
//! A pull request's images may be as private as its repository, but GitHub's image proxy and a
//! reader's browser bring no credentials. So the link itself is the right to look: an HMAC-SHA256
//! over the image and the time at which the right ends.

use difftest_core::ids::ImageSha;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use url::Url;

use super::image_key::ImageKey;

/// How long a link is good for at least. Comments are read long after they were written.
const GOOD_FOR_S: u64 = 180 * DAY_S;
const DAY_S: u64 = 24 * 3600;

/// Makes and checks links to images.
pub struct ImageSigner {
    key: ImageKey,
    public_url: Url,
}

/// Why a link gives no right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it was not made here")]
    Forged,
    #[error("it has ended; open the pull request again for a new one")]
    Expired,
}

impl ImageSigner {
    /// `public_url` is where browsers reach the App.
    pub fn new(key: ImageKey, public_url: Url) -> Self {
        Self { key, public_url }
    }

    /// A link to an image. `now` is in seconds since 1970. Links of one day are equal, so that a
    /// comment which is written again is the same comment.
    pub fn url(&self, sha: &ImageSha, now: u64) -> String {
        let expires = (now / DAY_S + 1) * DAY_S + GOOD_FOR_S;
        let base = self.public_url.as_str().trim_end_matches('/');
        let signature = hex::encode(self.mac(sha, expires).finalize().into_bytes());
        format!("{base}/images/{sha}.png?exp={expires}&sig={signature}")
    }

    /// Whether a link that ends at `expires` was made here and has not ended at `now`.
    pub fn verify(
        &self,
        sha: &ImageSha,
        expires: u64,
        signature: &str,
        now: u64,
    ) -> Result<(), Refused> {
        let signature = hex::decode(signature).map_err(|_| Refused::Forged)?;
        // Compares in constant time.
        self.mac(sha, expires).verify_slice(&signature).map_err(|_| Refused::Forged)?;
        if now >= expires { Err(Refused::Expired) } else { Ok(()) }
    }

    fn mac(&self, sha: &ImageSha, expires: u64) -> Hmac<Sha256> {
        let mut mac = self.key.mac();
        // Both are of a fixed alphabet without a line feed, so no two links have one text.
        mac.update(format!("difftest image 1\n{sha}\n{expires}").as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn links_of(key: u8, url: &str) -> ImageSigner {
        ImageSigner::new(ImageKey::from_bytes([key; 32]), Url::parse(url).unwrap())
    }

    /// The expiry and the signature of a link.
    fn parts(url: &str) -> (u64, String) {
        let pairs: std::collections::HashMap<_, _> =
            Url::parse(url).unwrap().query_pairs().into_owned().collect();
        (pairs["exp"].parse().unwrap(), pairs["sig"].clone())
    }

    #[test]
    fn a_link_is_good_until_it_ends_and_for_its_image_alone() {
        let signer = links_of(1, "https://ci.example/difftest/");
        let image = ImageSha::of(b"image");
        let url = signer.url(&image, NOW);
        assert!(url.starts_with(&format!("https://ci.example/difftest/images/{image}.png?")));
        let (expires, sig) = parts(&url);
        assert!(expires >= NOW + GOOD_FOR_S);
        assert_eq!(signer.verify(&image, expires, &sig, NOW), Ok(()));
        assert_eq!(signer.verify(&image, expires, &sig, expires - 1), Ok(()));
        assert_eq!(signer.verify(&image, expires, &sig, expires), Err(Refused::Expired));

        let other = ImageSha::of(b"other");
        let forged = Err(Refused::Forged);
        assert_eq!(signer.verify(&other, expires, &sig, NOW), forged);
        assert_eq!(signer.verify(&image, expires + 1, &sig, NOW), forged);
        for bad in ["", "00", "zz", &sig[..62], &format!("{sig}00")] {
            assert_eq!(signer.verify(&image, expires, bad, NOW), forged, "{bad}");
        }
        let elsewhere = links_of(2, "https://ci.example/");
        assert_eq!(elsewhere.verify(&image, expires, &sig, NOW), forged);
    }

    #[test]
    fn links_of_one_day_are_equal() {
        let signer = links_of(1, "http://127.0.0.1:8080");
        let image = ImageSha::of(b"image");
        let midnight = NOW / DAY_S * DAY_S;
        assert_eq!(signer.url(&image, midnight), signer.url(&image, midnight + DAY_S - 1));
        assert_ne!(signer.url(&image, midnight), signer.url(&image, midnight + DAY_S));
    }
}
