//! Images, named by the SHA-256 of their bytes. The same image is stored once, whoever made it.

use bytes::Bytes;
use difftest_core::ids::ImageSha;
use difftest_core::protocol::{JobId, Secret};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::database::sql;
use crate::error::StoreError;
use crate::jobs::hold;
use crate::open::Store;

/// Two levels, so that no folder grows without end.
fn location(sha: &ImageSha) -> Path {
    let name = sha.as_str();
    Path::from(format!("images/{}/{name}.png", &name[..2]))
}

impl Store {
    /// Stores an image. False if it was there. The file is written whole or not at all, and its
    /// row after it: a row always has its file.
    pub async fn put_image(&self, sha: &ImageSha, bytes: Bytes) -> Result<bool, StoreError> {
        let hashed = bytes.clone();
        // A large image keeps a processor busy for a while; other tasks must go on.
        let actual = tokio::task::spawn_blocking(move || ImageSha::of(&hashed))
            .await
            .map_err(std::io::Error::other)
            .map_err(|source| object_store::Error::Generic {
                store: "images",
                source: Box::new(source),
            })?;
        if actual != *sha {
            return Err(StoreError::WrongHash {
                named: sha.to_string(),
                actual: actual.to_string(),
            });
        }
        if self.has_image(sha).await? {
            return Ok(false);
        }
        let size = bytes.len() as i64;
        self.objects.put(&location(sha), bytes.into()).await?;
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let new = sql("INSERT INTO images (sha, size, stored_at) VALUES ($1, $2, $3)
                       ON CONFLICT (sha) DO NOTHING")
        .bind(sha.as_str())
        .bind(size)
        .bind(now)
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await?;
        Ok(new > 0)
    }

    pub async fn has_image(&self, sha: &ImageSha) -> Result<bool, StoreError> {
        let found = sql("SELECT size FROM images WHERE sha = $1")
            .bind(sha.as_str())
            .fetch_optional::<(i64,)>(&mut self.db.read().await?)
            .await?;
        Ok(found.is_some())
    }

    pub async fn get_image(&self, sha: &ImageSha) -> Result<Option<Bytes>, StoreError> {
        match self.objects.get(&location(sha)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that a job made an image that is stored.
    pub async fn link_image(
        &self,
        job: JobId,
        lease: &Secret,
        sha: &ImageSha,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        hold(&mut tx, job, lease).await?;
        sql("INSERT INTO job_images (job_id, sha) VALUES ($1, $2)
             ON CONFLICT (job_id, sha) DO NOTHING")
        .bind(job.0)
        .bind(sha.as_str())
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await
    }

    /// The images that a job made, in the order of their names.
    pub async fn job_images(&self, job: JobId) -> Result<Vec<ImageSha>, StoreError> {
        sql("SELECT sha FROM job_images WHERE job_id = $1 ORDER BY sha")
            .bind(job.0)
            .fetch_all::<(String,)>(&mut self.db.read().await?)
            .await?
            .into_iter()
            .map(|(sha,)| crate::error::from_id("an image", sha))
            .collect()
    }
}
