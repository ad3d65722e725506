//! `.difftest/cache`: images by everything that decides them, for `difftest run --incremental`.
//!
//! An entry is a PNG file named by the SHA-256 of its key. It is written whole or not at all, and
//! one that cannot be read back is no entry: the image is made again.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use difftest_core::event::Environment;
use difftest_core::recipe::Recipe;
use serde::Serialize;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::error::EngineError;
use super::files::write_whole;

/// In the key: what an entry is, so that a later version of difftest never takes it for another.
const FORMAT: u32 = 1;
/// Down to this share of the limit is removed once the limit is passed, so that not every image
/// after it has to look for the oldest.
const LOW_WATER: f64 = 0.9;

/// Everything that decides an image's bytes.
///
/// The generator's fingerprint stands for its weights, options and dtype; the environment for
/// device, threads, batch size and library versions, each of which can move a bit.
#[derive(Serialize)]
struct Parts<'a> {
    format: u32,
    model: &'a str,
    generator: &'a str,
    fingerprint: &'a str,
    environment: &'a Environment,
    recipe: &'a Recipe,
}

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey(String);

impl CacheKey {
    pub fn new(
        model: &str,
        generator: &str,
        fingerprint: &str,
        environment: &Environment,
        recipe: &Recipe,
    ) -> Result<Self, EngineError> {
        let parts = Parts { format: FORMAT, model, generator, fingerprint, environment, recipe };
        // Field by field in one order, maps sorted: equal parts are equal bytes.
        let canonical = serde_json::to_vec(&parts)
            .map_err(|e| EngineError::Bridge(format!("the cache's key: {e}")))?;
        Ok(Self(hex::encode(Sha256::digest(canonical))))
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub images: u64,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    limit: u64,
    /// As of the last look, plus what was written since.
    bytes: u64,
}

impl Cache {
    /// Opens the folder, made if need be. `limit` is in bytes.
    pub fn open(dir: &Path, limit: u64) -> Result<Self, EngineError> {
        fs::create_dir_all(dir).map_err(EngineError::file("make", dir))?;
        let bytes = stats(dir).bytes;
        let mut cache = Self { dir: dir.to_owned(), limit, bytes };
        if cache.bytes > cache.limit {
            cache.evict();
        }
        Ok(cache)
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        // Two letters of the digest: a folder with a hundred thousand files is slow to list.
        self.dir.join(&key.0[..2]).join(format!("{}.png", key.0))
    }

    /// The file of an image that was kept. Marks it as used.
    pub fn get(&self, key: &CacheKey) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            // Only the order of removal hangs on it.
            drop(file.set_modified(SystemTime::now()));
        }
        Some(bytes)
    }

    /// Keeps an image's file. One that is larger than the whole limit is not kept.
    pub fn put(&mut self, key: &CacheKey, png: &[u8]) -> Result<(), EngineError> {
        let size = png.len() as u64;
        if size > self.limit {
            return Ok(());
        }
        let path = self.path(key);
        let dir = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir).map_err(EngineError::file("make", dir))?;
        let before = fs::metadata(&path).map_or(0, |m| m.len());
        write_whole(&path, png)?;
        self.bytes = (self.bytes + size).saturating_sub(before);
        if self.bytes > self.limit {
            self.evict();
        }
        Ok(())
    }

    /// Removes an entry that turned out unreadable.
    pub fn forget(&mut self, key: &CacheKey) {
        let path = self.path(key);
        let size = fs::metadata(&path).map_or(0, |m| m.len());
        if fs::remove_file(&path).is_ok() {
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    /// Removes what was not used for longest. Another run may be doing the same: a file that is
    /// gone already is as good as removed.
    fn evict(&mut self) {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = entries(&self.dir)
            .filter_map(|path| {
                let metadata = fs::metadata(&path).ok()?;
                Some((metadata.modified().ok()?, metadata.len(), path))
            })
            .collect();
        entries.sort();
        let keep = (self.limit as f64 * LOW_WATER) as u64;
        self.bytes = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in entries {
            if self.bytes <= keep {
                break;
            }
            let removed = fs::remove_file(&path);
            if removed.is_ok() || removed.is_err_and(|e| e.kind() == ErrorKind::NotFound) {
                self.bytes -= size;
            }
        }
    }
}

/// What a folder keeps; nothing where there is none.
pub fn stats(dir: &Path) -> CacheStats {
    entries(dir).filter_map(|path| fs::metadata(path).ok()).fold(
        CacheStats::default(),
        |stats, metadata| CacheStats {
            images: stats.images + 1,
            bytes: stats.bytes + metadata.len(),
        },
    )
}

/// Removes every entry and says how much that was. Nothing but entries is touched.
pub fn clear(dir: &Path) -> Result<CacheStats, EngineError> {
    let mut removed = CacheStats::default();
    for path in entries(dir) {
        let size = fs::metadata(&path).map_or(0, |m| m.len());
        match fs::remove_file(&path) {
            Ok(()) => {
                removed.images += 1;
                removed.bytes += size;
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(EngineError::file("remove", &path)(e)),
        }
    }
    Ok(removed)
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    WalkDir::new(dir)
        .min_depth(2)
        .max_depth(2)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension() == Some(OsStr::new("png")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use difftest_core::recipe::{Lora, RecipeSettings};
    use std::collections::HashSet;
    use std::time::Duration;

    fn recipe() -> Recipe {
        Recipe {
            prompt: "p".into(),
            negative_prompt: None,
            seed: 1,
            settings: RecipeSettings::default(),
        }
    }

    fn key_of(n: i64) -> CacheKey {
        let recipe = Recipe { seed: n, ..recipe() };
        CacheKey::new("m", "g", "f", &Environment::default(), &recipe).unwrap()
    }

    #[test]
    fn everything_that_decides_an_image_is_in_its_key() {
        let environment = Environment { device: "cpu".into(), threads: 1, ..Default::default() };
        let key = |recipe: &Recipe, environment: &Environment, names: [&str; 3]| {
            let [model, generator, fingerprint] = names;
            CacheKey::new(model, generator, fingerprint, environment, recipe).unwrap()
        };
        let names = ["m", "g", "f"];
        let base = key(&recipe(), &environment, names);
        assert_eq!(base, key(&recipe(), &environment.clone(), names));
        let changed = |change: fn(&mut RecipeSettings)| {
            let mut recipe = recipe();
            change(&mut recipe.settings);
            recipe
        };
        let recipes = [
            Recipe { prompt: "q".into(), ..recipe() },
            Recipe { negative_prompt: Some("n".into()), ..recipe() },
            Recipe { negative_prompt: Some(String::new()), ..recipe() },
            Recipe { seed: 2, ..recipe() },
            changed(|s| s.width = Some(64)),
            changed(|s| s.height = Some(64)),
            changed(|s| s.steps = Some(64)),
            changed(|s| s.guidance = Some(1.5)),
            changed(|s| s.scheduler = Some("ddim".into())),
            changed(|s| s.clip_skip = Some(2)),
            changed(|s| s.denoise = Some(0.5)),
            changed(|s| s.loras = vec![Lora { name: "a".into(), weight: 1.0 }]),
            changed(|s| s.loras = vec![Lora { name: "a".into(), weight: 0.5 }]),
        ];
        let environments = [
            Environment { device: "cuda".into(), ..environment.clone() },
            Environment { threads: 2, ..environment.clone() },
            Environment { batch_size: 2, ..environment.clone() },
            Environment {
                versions: [("torch".to_owned(), "2.9".to_owned())].into(),
                ..environment.clone()
            },
        ];
        let others: HashSet<CacheKey> = recipes
            .iter()
            .map(|recipe| key(recipe, &environment, names))
            .chain(environments.iter().map(|environment| key(&recipe(), environment, names)))
            .chain(
                [["x", "g", "f"], ["m", "x", "f"], ["m", "g", "x"]]
                    .map(|names| key(&recipe(), &environment, names)),
            )
            .collect();
        assert_eq!(others.len(), recipes.len() + environments.len() + 3);
        assert!(!others.contains(&base));
    }

    #[test]
    fn what_was_used_last_stays_when_the_limit_is_passed() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path(), 1000).unwrap();
        let past = |key: &CacheKey, seconds| {
            let file = fs::File::options().append(true).open(cache_path(dir.path(), key)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        for n in 1..=3 {
            cache.put(&key_of(n), &[n as u8; 300]).unwrap();
            past(&key_of(n), 100 - n as u64);
        }
        assert_eq!(cache.get(&key_of(1)).unwrap(), [1; 300], "and it is the newest now");
        cache.put(&key_of(4), &[4; 300]).unwrap();
        assert!(cache.get(&key_of(2)).is_none(), "the oldest went");
        assert!(cache.get(&key_of(1)).is_some() && cache.get(&key_of(4)).is_some());
        assert!(stats(dir.path()).bytes <= 1000);
        cache.put(&key_of(5), &[5; 1001]).unwrap();
        assert!(cache.get(&key_of(5)).is_none(), "larger than the whole limit");
        let smaller = Cache::open(dir.path(), 400).unwrap();
        assert!(stats(dir.path()).bytes <= 400 && smaller.bytes <= 400);
    }

    #[test]
    fn clearing_touches_nothing_but_entries() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path(), 1000).unwrap();
        cache.put(&key_of(1), b"image").unwrap();
        cache.put(&key_of(1), b"image").unwrap();
        fs::write(dir.path().join("notes.png"), "mine").unwrap();
        assert_eq!(stats(dir.path()), CacheStats { images: 1, bytes: 5 });
        assert_eq!(clear(dir.path()).unwrap(), CacheStats { images: 1, bytes: 5 });
        assert_eq!(stats(dir.path()), CacheStats::default());
        assert!(dir.path().join("notes.png").exists());
        assert_eq!(stats(&dir.path().join("nowhere")), CacheStats::default());
        cache.put(&key_of(2), b"image").unwrap();
        cache.forget(&key_of(2));
        assert_eq!((cache.get(&key_of(2)), cache.bytes), (None, 5));
    }

    fn cache_path(dir: &Path, key: &CacheKey) -> PathBuf {
        Cache { dir: dir.to_owned(), limit: 0, bytes: 0 }.path(key)
    }
}
