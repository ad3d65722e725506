//! Files of a commit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::client::Repository;
use super::error::GitHubError;

#[derive(Deserialize)]
struct FileAnswer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: String,
}

impl Repository<'_> {
    /// The text of a file at a branch or commit, None where there is no such file. Bytes that are
    /// not UTF-8 are replaced, so that the parser can name the line they stand on.
    pub async fn file(&self, path: &str, at: &str) -> Result<Option<String>, GitHubError> {
        let answer: Result<FileAnswer, _> =
            self.get(&format!("contents/{path}"), &[("ref", at)]).await;
        match answer {
            Ok(file) if file.kind == "file" => {
                let packed: String = file.content.split_whitespace().collect();
                let bytes = STANDARD.decode(packed).unwrap_or_default();
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            // A folder or a submodule of that name is not a configuration.
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
