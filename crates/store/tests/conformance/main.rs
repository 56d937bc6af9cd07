//! One suite, both databases: a temporary SQLite file, and a PostgreSQL server that this test starts from Debian's package.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code; a failing case is named by the line before")]

mod access;
mod addresses;
mod cases;
mod people;
mod server;
mod timelines;

use berth_store::open;

fn all() -> impl Iterator<Item = (usize, &'static (&'static str, cases::Case))> {
    cases::ALL.iter().chain(access::ALL).chain(addresses::ALL).chain(people::ALL).chain(timelines::ALL).enumerate()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, case)) in all() {
        println!("case: {name}");
        let url = format!("sqlite://{}/{number}.db", folder.path().display());
        case(open(&url).await.unwrap()).await;
        // A second opening finds the schema as it is.
        open(&url).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_conforms() {
    let server = server::Server::start().await;
    for (number, (name, case)) in all() {
        println!("case: {name}");
        let url = server.database(&format!("case{number}")).await;
        case(open(&url).await.unwrap()).await;
        open(&url).await.unwrap();
    }
}

/// A hint that one replica posts reaches another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_hints_cross_replicas() {
    let server = server::Server::start().await;
    let url = server.database("replicas").await;
    let (one, two) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    cases::hints_of(one, two).await;
}

/// Whoever holds the database's credentials, berthd's own code included, cannot rewrite the log by a statement.
macro_rules! lines_cannot_be_changed {
    ($pool:expr, $statements:expr) => {
        for statement in $statements {
            let error = sqlx::query(statement).execute(&$pool).await.expect_err(statement).to_string();
            assert!(error.contains("append only"), "{statement}: {error}");
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_audit_log_is_append_only() {
    let statements = ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"];
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/berth.db", folder.path().display());
    cases::user(&open(&url).await.unwrap(), "ann").await;
    lines_cannot_be_changed!(sqlx::SqlitePool::connect(&url).await.unwrap(), statements);

    let server = server::Server::start().await;
    let url = server.database("append").await;
    cases::user(&open(&url).await.unwrap(), "ann").await;
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    lines_cannot_be_changed!(pool, statements.into_iter().chain(["TRUNCATE audit_log"]));
}
