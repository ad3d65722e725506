//! Two databases behind one way to ask.
//!
//! The same SQL text runs on both: `$1` placeholders, `RETURNING`, `ON CONFLICT`, BIGINT-like
//! integers, TEXT, BYTEA or BLOB, BOOLEAN. What differs is said in three places only:
//! [`Statement`] where a text must differ, [`Query::for_update`] and [`Query::skip_locked`].
//!
//! On SQLite every transaction is `BEGIN IMMEDIATE` on the one writer connection, so transactions
//! run one after another and need no row locks. On PostgreSQL they run side by side at READ
//! COMMITTED; where a transaction decides by what it read, it reads `FOR UPDATE`. To keep them
//! from waiting in a circle, rows are locked in this order: deliveries, pulls, jobs, checks,
//! outbox (sorted by key, see [`Tx::want`]).

use std::collections::BTreeSet;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, FromRow, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use crate::error::StoreError;
use crate::hints::{Hints, Topic};
use crate::outbox::EffectKey;

#[derive(Clone)]
pub(crate) enum Db {
    Sqlite {
        /// One connection: SQLite has one writer, and waiting for it in the pool is fair, waiting
        /// for its lock is not.
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

impl Db {
    /// A connection to read from, outside every transaction.
    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        Ok(match self {
            Self::Sqlite { read, .. } => Reader::Sqlite(read.acquire().await?),
            Self::Postgres(pool) => Reader::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction. Dropped before [`Tx::commit`] it changes nothing.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let open = match self {
            Self::Sqlite { write, .. } => {
                OpenTx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => OpenTx::Postgres(pool.begin().await?),
        };
        let mut tx = Tx { open, now: 0, wanted: BTreeSet::new(), topics: BTreeSet::new() };
        let (now,) = sql(CLOCK).fetch_one::<(i64,)>(&mut tx).await?;
        tx.now = now;
        Ok(tx)
    }
}

const CLOCK: Statement = Statement {
    sqlite: "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    postgres: "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
};

pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

enum OpenTx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// An open transaction, the database's time at its start, and what it leaves to be told.
pub(crate) struct Tx {
    open: OpenTx,
    now: i64,
    wanted: BTreeSet<String>,
    topics: BTreeSet<Topic>,
}

impl Tx {
    /// Milliseconds since 1970 by the database's clock, when the transaction began.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Notes that a thing on GitHub no longer looks like our state. The rows are written at the
    /// commit, in the same transaction and in one order, so that two transactions of one pull
    /// request cannot wait for each other.
    pub(crate) fn want(&mut self, key: &EffectKey) {
        self.wanted.insert(key.to_string());
        self.topics.insert(Topic::Effects);
    }

    /// Wakes whoever waits for this topic, once the change is there to be seen.
    pub(crate) fn wake(&mut self, topic: Topic) {
        self.topics.insert(topic);
    }

    pub(crate) async fn commit(mut self, hints: &Hints) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.wanted) {
            // What failed before does not hold back what is new.
            sql("INSERT INTO outbox (effect, wanted) VALUES ($1, 1)
                 ON CONFLICT (effect) DO UPDATE
                 SET wanted = outbox.wanted + 1, attempts = 0, not_before = 0")
            .bind(key)
            .execute(&mut self)
            .await?;
        }
        match self.open {
            OpenTx::Sqlite(tx) => tx.commit().await?,
            OpenTx::Postgres(tx) => tx.commit().await?,
        }
        for topic in self.topics {
            hints.wake(topic);
        }
        Ok(())
    }
}

pub(crate) enum On<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// What a query can run on.
pub(crate) trait Connection: Send {
    fn on(&mut self) -> On<'_>;
}

impl Connection for Reader {
    fn on(&mut self) -> On<'_> {
        match self {
            Self::Sqlite(connection) => On::Sqlite(connection),
            Self::Postgres(connection) => On::Postgres(connection),
        }
    }
}

impl Connection for Tx {
    fn on(&mut self) -> On<'_> {
        match &mut self.open {
            OpenTx::Sqlite(tx) => On::Sqlite(tx),
            OpenTx::Postgres(tx) => On::Postgres(tx),
        }
    }
}

/// SQL that the two dialects spell differently.
#[derive(Clone, Copy)]
pub(crate) struct Statement {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl From<&'static str> for Statement {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// A row that both databases can give.
pub(crate) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A parameter. Nulls have a type: PostgreSQL asks for it.
#[derive(Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Float(f64),
    Text(Option<String>),
    Bytes(Vec<u8>),
    Bool(bool),
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $wrapped:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $wrapped
            }
        })*
    };
}

value_from! {
    i64 => |v| Self::Int(Some(v));
    Option<i64> => |v| Self::Int(v);
    f64 => |v| Self::Float(v);
    &str => |v| Self::Text(Some(storable(v)));
    &String => |v| Self::Text(Some(storable(v)));
    String => |v| Self::Text(Some(storable(&v)));
    Option<&str> => |v| Self::Text(v.map(storable));
    Vec<u8> => |v| Self::Bytes(v);
    bool => |v| Self::Bool(v);
}

/// PostgreSQL has no U+0000 in text, and what strangers name may hold one.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) struct Query {
    statement: Statement,
    /// Appended on PostgreSQL; SQLite's transactions already exclude each other.
    lock: &'static str,
    values: Vec<Value>,
}

pub(crate) fn sql(statement: impl Into<Statement>) -> Query {
    Query { statement: statement.into(), lock: "", values: Vec::new() }
}

macro_rules! arguments {
    ($type:ty, $values:expr) => {{
        let mut arguments = <$type>::default();
        for value in $values {
            match value {
                Value::Int(v) => arguments.add(v),
                Value::Float(v) => arguments.add(v),
                Value::Text(v) => arguments.add(v),
                Value::Bytes(v) => arguments.add(v),
                Value::Bool(v) => arguments.add(v),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        arguments
    }};
}

impl Query {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Locks the rows that are read until the transaction ends.
    pub(crate) fn for_update(mut self) -> Self {
        self.lock = " FOR UPDATE";
        self
    }

    /// Locks the rows that are read, and reads past those that another transaction holds.
    pub(crate) fn skip_locked(mut self) -> Self {
        self.lock = " FOR UPDATE SKIP LOCKED";
        self
    }

    fn postgres_text(&self) -> AssertSqlSafe<String> {
        // Both parts are literals of this crate.
        AssertSqlSafe(format!("{}{}", self.statement.postgres, self.lock))
    }

    pub(crate) async fn fetch_optional<T: Row>(
        self,
        connection: &mut impl Connection,
    ) -> Result<Option<T>, StoreError> {
        Ok(match connection.on() {
            On::Sqlite(on) => {
                let arguments = arguments!(SqliteArguments, self.values);
                let text = self.statement.sqlite;
                sqlx::query_as_with::<Sqlite, T, _>(text, arguments).fetch_optional(on).await?
            }
            On::Postgres(on) => {
                let text = self.postgres_text();
                let arguments = arguments!(PgArguments, self.values);
                sqlx::query_as_with::<Postgres, T, _>(text, arguments).fetch_optional(on).await?
            }
        })
    }

    pub(crate) async fn fetch_one<T: Row>(
        self,
        connection: &mut impl Connection,
    ) -> Result<T, StoreError> {
        let row = self.fetch_optional(connection).await?;
        row.ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    pub(crate) async fn fetch_all<T: Row>(
        self,
        connection: &mut impl Connection,
    ) -> Result<Vec<T>, StoreError> {
        Ok(match connection.on() {
            On::Sqlite(on) => {
                let arguments = arguments!(SqliteArguments, self.values);
                let text = self.statement.sqlite;
                sqlx::query_as_with::<Sqlite, T, _>(text, arguments).fetch_all(on).await?
            }
            On::Postgres(on) => {
                let text = self.postgres_text();
                let arguments = arguments!(PgArguments, self.values);
                sqlx::query_as_with::<Postgres, T, _>(text, arguments).fetch_all(on).await?
            }
        })
    }

    /// How many rows changed.
    pub(crate) async fn execute(self, connection: &mut impl Connection) -> Result<u64, StoreError> {
        Ok(match connection.on() {
            On::Sqlite(on) => {
                let arguments = arguments!(SqliteArguments, self.values);
                let text = self.statement.sqlite;
                sqlx::query_with::<Sqlite, _>(text, arguments).execute(on).await?.rows_affected()
            }
            On::Postgres(on) => {
                let text = self.postgres_text();
                let arguments = arguments!(PgArguments, self.values);
                sqlx::query_with::<Postgres, _>(text, arguments).execute(on).await?.rows_affected()
            }
        })
    }
}
