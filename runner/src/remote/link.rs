//! An image as an answer refers to it: a link, a `data:` URI, or base64.

use url::Url;

use super::fault::{CallError, ImageError};
use super::picture::{self, Picture};
use super::transport::{Ask, Transport};
use super::work::{Work, decoded};

/// Brings the image. A link may lead to the public internet or back to the back end itself, whose
/// key only the latter sees.
pub async fn fetch(transport: &Transport, link: &str, work: &Work) -> Result<Picture, ImageError> {
    let link = link.trim();
    if link.starts_with("http://") || link.starts_with("https://") {
        let url = Url::parse(link).map_err(|e| CallError::Malformed {
            url: "the image's link".into(),
            cause: e.to_string(),
        })?;
        work.is_at("downloading the image");
        let answer = transport.ask(&Ask::image(url), &work.tally).await?;
        return decoded(answer.body).await;
    }
    decoded(picture::from_base64(link)?).await
}

/// A link of the back end's answer that is followed with its key: it must be the back end's.
pub fn own(transport: &Transport, link: Option<&str>, what: &str) -> Result<Url, ImageError> {
    let malformed = |cause: String| {
        ImageError::Call(CallError::Malformed { url: "the back end".into(), cause })
    };
    let link = link.ok_or_else(|| malformed(format!("there is no {what} in its answer")))?;
    let url = Url::parse(link).map_err(|e| malformed(format!("its {what} is no URL: {e}")))?;
    match transport.is_own(&url) {
        true => Ok(url),
        false => Err(malformed(format!(
            "its {what} leads to {}, another host, which must not see the key",
            super::address::shown(&url)
        ))),
    }
}
