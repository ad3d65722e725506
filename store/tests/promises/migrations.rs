//! The two folders of migrations mean the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use difftest_core::event::read_stream;
use difftest_core::result::Run;
use difftest_store::{Store, StoreError};
use sqlx::{Connection, SqliteConnection};

use crate::databases::{PostgresSchema, on_every_database};

fn folder(dialect: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(dialect)
}

fn files(dialect: &str) -> BTreeSet<String> {
    std::fs::read_dir(folder(dialect))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Column names by table, read from the SQL text.
fn columns(dialect: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::<String, Vec<String>>::new();
    for file in files(dialect) {
        let text = std::fs::read_to_string(folder(dialect).join(file)).unwrap();
        let mut table = None;
        for line in text.lines().map(|l| l.split("--").next().unwrap_or_default().trim_end()) {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                table = Some(rest.trim_end_matches(" (").to_owned());
            } else if line.starts_with(");") {
                table = None;
            } else if let (Some(table), Some(column)) = (&table, line.split_whitespace().next()) {
                let is_column = column.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                if is_column {
                    tables.entry(table.clone()).or_default().push(column.to_owned());
                }
            }
        }
    }
    tables
}

#[test]
fn both_folders_have_the_same_files_tables_and_columns() {
    assert_eq!(files("sqlite"), files("postgres"));
    let tables = columns("sqlite");
    assert_eq!(tables, columns("postgres"));
    assert_eq!(tables.len(), 13, "{:?}", tables.keys());
    assert!(tables["jobs"].contains(&"lease_until".into()));
}

#[tokio::test]
async fn the_databases_themselves_have_the_same_tables_and_columns() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("a.db").display());
    Store::open(&url, folder.path()).await.unwrap().close().await;
    let mut sqlite = SqliteConnection::connect(&url).await.unwrap();
    let of_sqlite: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\\_%' ESCAPE '\\'",
    )
    .fetch_all(&mut sqlite)
    .await
    .unwrap();
    let told: BTreeSet<(String, String)> = columns("sqlite")
        .into_iter()
        .flat_map(|(table, columns)| columns.into_iter().map(move |c| (table.clone(), c)))
        .collect();
    assert_eq!(of_sqlite.into_iter().collect::<BTreeSet<_>>(), told);

    let Some(mut schema) = PostgresSchema::create().await else { return };
    Store::open(&schema.url, folder.path()).await.unwrap().close().await;
    let of_postgres: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = $1 AND table_name NOT LIKE '\\_%'",
    )
    .bind(&schema.name)
    .fetch_all(&mut schema.admin)
    .await
    .unwrap();
    schema.remove().await;
    assert_eq!(of_postgres.into_iter().collect::<BTreeSet<_>>(), told);
}

#[tokio::test]
async fn a_history_from_before_the_trends_has_them_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("a.db").display());
    let stream = read_stream(include_bytes!("a-run.jsonl")).unwrap();
    let run = Run::from_events(&stream);
    let store = Store::open(&url, folder.path()).await.unwrap();
    store.record_run(&run).await.unwrap();
    let trends = store.trends(&run.id, 10).await.unwrap();
    store.close().await;
    // As the version before left it.
    let mut older = SqliteConnection::connect(&url).await.unwrap();
    for sql in ["DROP TABLE metric_means", "DELETE FROM _sqlx_migrations WHERE version = 2"] {
        sqlx::query(sql).execute(&mut older).await.unwrap();
    }
    older.close().await.unwrap();
    let store = Store::open(&url, folder.path()).await.unwrap();
    assert_eq!(store.trends(&run.id, 10).await.unwrap(), trends);
    assert_eq!(trends[0].points.len(), 1);
}

#[tokio::test]
async fn opening_twice_changes_nothing() {
    on_every_database(async |db| {
        crate::pull_requests::push(&db, 'a', 1).await;
        let again = db.another_process().await;
        assert_eq!(again.latest_checks(crate::pull_requests::PULL).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_no_database_is_refused_without_its_password() {
    let folder = tempfile::TempDir::new().unwrap();
    let error = Store::open("mysql://me:hunter2@host/db", folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownDatabase { .. }), "{error}");
    assert!(error.to_string().contains("sqlite://PATH"), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
