//! What can go wrong in the store.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("`{url}` is not a database; write sqlite://PATH or postgres://USER@HOST/NAME")]
    UnknownDatabase { url: String },
    #[error("{path} cannot be created: {source}")]
    Folder { path: String, source: std::io::Error },
    #[error("the database answered: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("the image folder answered: {0}")]
    Objects(#[from] object_store::Error),
    #[error("{what} in the database is not what this version wrote: {reason}")]
    Corrupt { what: &'static str, reason: String },
    #[error("{what} cannot be written as JSON: {source}")]
    Unwritable { what: &'static str, source: serde_json::Error },
    #[error("there is no {what} {id}")]
    Missing { what: &'static str, id: String },
    /// The job was given to another runner, cancelled or finished. Nothing was changed.
    #[error("this lease of job {job} is lost")]
    LeaseLost { job: i64 },
    /// The bytes would leave a hole in the log.
    #[error("the log has {length} bytes; the next append must start there or before")]
    EventGap { length: u64 },
    #[error("the log of one side of a job is limited to {limit} bytes")]
    EventLogFull { limit: u64 },
    #[error("the bytes have the SHA-256 {actual}, not {named}")]
    WrongHash { named: String, actual: String },
    #[error("a runner named `{name}` has a token; choose another name or remove it first")]
    RunnerExists { name: String },
}

/// Reads a column that this crate wrote as JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}

pub(crate) fn to_json<T: serde::Serialize>(
    what: &'static str,
    value: &T,
) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Unwritable { what, source })
}

/// Reads a column whose words are an enum's.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(
    what: &'static str,
    word: String,
) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word))
        .map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}

/// Reads a column that holds a checked identifier.
pub(crate) fn from_id<T: TryFrom<String>>(what: &'static str, id: String) -> Result<T, StoreError>
where
    T::Error: std::fmt::Display,
{
    T::try_from(id).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}
