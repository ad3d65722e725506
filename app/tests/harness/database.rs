//! A database of its own for each test.

use std::path::Path;
use std::process::Command;

use super::Kind;

pub(super) struct Database {
    pub(super) url: String,
    /// The server's address and the database's name, to remove it afterwards.
    created: Option<(String, String)>,
}

impl Database {
    /// None, said loudly, where there is no PostgreSQL.
    pub(super) fn new(kind: Kind, folder: &Path) -> Option<Self> {
        if kind == Kind::Sqlite {
            let url = format!("sqlite://{}", folder.join("app.db").display());
            return Some(Self { url, created: None });
        }
        let server = std::env::var("DIFFTEST_TEST_POSTGRES_URL").ok();
        let psql = Command::new("psql").arg("--version").output().is_ok();
        let Some(server) = server.filter(|_| psql) else {
            eprintln!("SKIPPED (no PostgreSQL: set DIFFTEST_TEST_POSTGRES_URL)");
            return None;
        };
        let name = format!("difftest_app_{}", uuid::Uuid::new_v4().simple());
        assert!(order(&server, &format!("CREATE DATABASE {name}")), "no database on {server}");
        let (host, _) = server.rsplit_once('/').unwrap();
        Some(Self { url: format!("{host}/{name}"), created: Some((server, name)) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.created {
            order(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

fn order(server: &str, sql: &str) -> bool {
    let psql = ["--quiet", "--no-psqlrc", server, "--command", sql];
    Command::new("psql").args(psql).status().is_ok_and(|status| status.success())
}
