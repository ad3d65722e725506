//! A fresh database for each test: a SQLite file, and a schema of the PostgreSQL that
//! `DIFFTEST_TEST_POSTGRES_URL` names.

use std::io::Write as _;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use difftest_store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

const POSTGRES_URL: &str = "DIFFTEST_TEST_POSTGRES_URL";

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// A store on a database of its own.
pub struct Fresh {
    store: Store,
    url: String,
    folder: TempDir,
}

impl Deref for Fresh {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fresh {
    /// Another process with the same database.
    pub async fn another_process(&self) -> Store {
        Store::open(&self.url, self.folder.path()).await.unwrap()
    }

    /// Changes what no call changes, such as how long ago a lease began.
    pub async fn tamper(&self, sql: &'static str) {
        let changed = match self.sqlite_path() {
            Some(_) => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected()
            }
            None => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected()
            }
        };
        assert!(changed > 0, "changed nothing: {sql}");
    }

    /// The number that a query counts.
    pub async fn count(&self, sql: &'static str) -> i64 {
        match self.sqlite_path() {
            Some(_) => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            None => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    fn sqlite_path(&self) -> Option<&str> {
        self.url.strip_prefix("sqlite://")
    }
}

/// Runs a test on SQLite, and on PostgreSQL where there is one; says so where there is none.
pub async fn on_every_database(test: impl AsyncFn(Fresh)) {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("difftest.db").display());
    let store = Store::open(&url, folder.path()).await.unwrap();
    test(Fresh { store, url, folder }).await;

    let Some(schema) = PostgresSchema::create().await else { return };
    let url = schema.url.clone();
    let folder = TempDir::new().unwrap();
    let store = Store::open(&url, folder.path()).await.unwrap();
    let closing = store.clone();
    test(Fresh { store, url, folder }).await;
    closing.close().await;
    schema.remove().await;
}

/// A schema of its own on the PostgreSQL of the tests.
pub struct PostgresSchema {
    pub url: String,
    pub name: String,
    pub admin: PgConnection,
}

impl PostgresSchema {
    /// None, and said so, where there is no PostgreSQL.
    pub async fn create() -> Option<Self> {
        let Ok(server) = std::env::var(POSTGRES_URL) else {
            skipped();
            return None;
        };
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::query(create).execute(&mut admin).await.unwrap();
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options[search_path]={name}");
        Some(Self { url, name, admin })
    }

    pub async fn remove(mut self) {
        let drop = AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.name));
        sqlx::query(drop).execute(&mut self.admin).await.unwrap();
    }
}

/// Written past the test harness, which swallows what a passing test prints.
fn skipped() {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED (no PostgreSQL: set {POSTGRES_URL}), test {count} of this program"
    );
}
