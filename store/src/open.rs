//! Opening a store: the database, its tables, the folder of images.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::database::Db;
use crate::error::StoreError;
use crate::hints::Hints;

static SQLITE_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/postgres");

/// How many connections a process holds to PostgreSQL, or reads SQLite with.
const CONNECTIONS: u32 = 8;
/// How long another process may hold SQLite's write lock.
const BUSY: Duration = Duration::from_secs(15);

/// The database and the images. A clone is the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Db,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) hints: Hints,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address of a PostgreSQL may hold a password.
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens `sqlite://PATH` (created where it is missing) or `postgres://…`, brings its tables up
    /// to date, and keeps images in `data_dir/objects`.
    pub async fn open(database_url: &str, data_dir: &Path) -> Result<Self, StoreError> {
        let objects = data_dir.join("objects");
        create_folder(&objects)?;
        let db = match database_url.split_once(':') {
            Some(("sqlite", _)) => open_sqlite(database_url).await?,
            Some(("postgres" | "postgresql", _)) => open_postgres(database_url).await?,
            // What follows the scheme may be a password.
            other => {
                let scheme = other.map_or(database_url, |(scheme, _)| scheme);
                return Err(StoreError::UnknownDatabase { url: scheme.to_owned() });
            }
        };
        let objects = Arc::new(LocalFileSystem::new_with_prefix(&objects)?);
        Ok(Self { db, objects, hints: Hints::default() })
    }

    /// What this process's changes wake.
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Waits for open transactions and closes every connection.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

async fn open_sqlite(url: &str) -> Result<Db, StoreError> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: an acknowledged delivery survives the loss of power, not only of the process.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true);
    if let Some(folder) = options.get_filename().parent() {
        create_folder(folder)?;
    }
    let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    SQLITE_MIGRATIONS.run(&write).await?;
    let read = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_lazy_with(options.create_if_missing(false).read_only(true));
    Ok(Db::Sqlite { write, read })
}

async fn open_postgres(url: &str) -> Result<Db, StoreError> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
    POSTGRES_MIGRATIONS.run(&pool).await?;
    Ok(Db::Postgres(pool))
}

fn create_folder(path: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(path)
        .map_err(|source| StoreError::Folder { path: path.display().to_string(), source })
}
