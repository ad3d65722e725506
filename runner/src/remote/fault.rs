//! What can go wrong between us and a back end. Messages never hold a key or a signed link.

use std::time::Duration;

use super::address::AddressError;
use super::retry::Repeat;

/// One call over HTTP that did not bring what it was made for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("{url} cannot be reached: {cause}")]
    Connect { url: String, cause: String },
    /// The request may have arrived.
    #[error("the connection to {url} was lost before its answer was whole: {cause}")]
    Lost { url: String, cause: String },
    #[error("{url} answered {status}{}", said(.message))]
    Status { url: String, status: u16, message: String, retry_after: Option<Duration> },
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("{url} redirects to {to}, which is not followed: {why}")]
    Redirect { url: String, to: String, why: String },
    #[error("{url} answered with {found} instead of {wanted}{}", said(.excerpt))]
    ContentType { url: String, found: String, wanted: &'static str, excerpt: String },
    #[error("the answer of {url} is not understood: {cause}")]
    Malformed { url: String, cause: String },
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl CallError {
    /// Whether the same call may go better, at no cost but time.
    pub fn is_worth_repeating(&self, repeat: Repeat) -> bool {
        match self {
            // No connection: nothing was sent.
            Self::Connect { .. } => true,
            Self::Lost { .. } => repeat == Repeat::Free,
            Self::Status { status, message, .. } => {
                // An empty purse is a 429 at OpenAI; waiting does not fill it.
                repeat.after_status(*status) && !message.contains("insufficient_quota")
            }
            _ => false,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Bytes that are not the whole of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("the image is empty")]
    Empty,
    #[error("what came is not a PNG, JPEG or WebP image; it begins with {0}")]
    Format(String),
    #[error("the {format} image of {bytes} bytes is cut short")]
    Truncated { format: &'static str, bytes: usize },
    #[error("the {format} image cannot be decoded: {cause}")]
    Broken { format: &'static str, cause: String },
    #[error("the image is {width}x{height}; at most {limit} pixels a side are taken")]
    TooLarge { width: u32, height: u32, limit: u32 },
    #[error("the image is not base64: {0}")]
    Base64(String),
}

/// Why there is no image for one recipe.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// A request that may have been billed and is therefore not made again.
    #[error("{0}; it is not asked again, since the image may have been made and charged")]
    PerhapsCharged(CallError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// What the recipe asks for and the back end cannot do.
    #[error("{0}")]
    Recipe(String),
    /// What the back end itself says went wrong with this image.
    #[error("{0}")]
    BackEnd(String),
    #[error("no image after {:.1} s{}", .after.as_secs_f64(), said_at(.progress))]
    TimedOut { after: Duration, progress: String },
    #[error("interrupted")]
    Interrupted,
}

impl ImageError {
    /// Whether the service or the way to it failed, rather than what was asked of it.
    pub fn is_the_services(&self) -> bool {
        match self {
            Self::Call(call) | Self::PerhapsCharged(call) => match call {
                CallError::Connect { .. } | CallError::Lost { .. } => true,
                CallError::Status { status, .. } => matches!(status, 429 | 500..=599),
                _ => false,
            },
            Self::TimedOut { .. } => true,
            Self::Picture(_) | Self::Recipe(_) | Self::BackEnd(_) | Self::Interrupted => false,
        }
    }
}

fn said_at(progress: &str) -> String {
    if progress.is_empty() { String::new() } else { format!(" ({progress})") }
}

/// Why a back end cannot be used at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The configuration has to change.
    #[error("{0}")]
    Options(String),
    /// The back end has to be there.
    #[error("{0}")]
    BackEnd(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_fails_is_told_from_one_that_refuses() {
        let url = || "http://a.example/".to_owned();
        let status = |status| {
            let (message, retry_after) = (String::new(), None);
            ImageError::from(CallError::Status { url: url(), status, message, retry_after })
        };
        for theirs in [429, 500, 503] {
            assert!(status(theirs).is_the_services(), "{theirs}");
        }
        for ours in [400, 401, 404, 422] {
            assert!(!status(ours).is_the_services(), "{ours}");
        }
        let lost = CallError::Lost { url: url(), cause: "reset".into() };
        assert!(ImageError::PerhapsCharged(lost).is_the_services());
        let late = ImageError::TimedOut { after: Duration::from_secs(1), progress: String::new() };
        assert!(late.is_the_services());
        assert!(!ImageError::from(PictureError::Empty).is_the_services());
    }

    #[test]
    fn what_was_not_sent_may_always_be_sent_again() {
        let url = || "http://a.example/".to_owned();
        let never = CallError::Connect { url: url(), cause: "refused".into() };
        let perhaps = CallError::Lost { url: url(), cause: "reset".into() };
        let repeated = |error: &CallError| {
            (error.is_worth_repeating(Repeat::Free), error.is_worth_repeating(Repeat::MayCharge))
        };
        assert_eq!(repeated(&never), (true, true));
        assert_eq!(repeated(&perhaps), (true, false));
        assert_eq!(repeated(&CallError::TooLarge { url: url(), limit: 1 }), (false, false));
        assert_eq!(repeated(&AddressError::NotHttp(url()).into()), (false, false));
    }
}
