//! Places where a test may kill the App, to see that nothing is lost or done twice.
//!
//! `DIFFTEST_FAULT=NAME` aborts the process at the point of that name, as `kill -9` would there.
//! Only in builds with debug assertions: a release build has no such switch.
//!
//! | name | the process dies |
//! |---|---|
//! | `abort-before-judge` | after a result was received, before it is judged |
//! | `abort-before-comment` | after the verdict is stored, before the comment is written |
//! | `abort-after-comment-before-commit` | after GitHub took the comment, before its id is stored |
//! | `abort-after-check-before-commit` | after GitHub took a new check run, before its id is stored |

/// Aborts here if this point was asked for.
pub(crate) fn point(name: &str) {
    if cfg!(debug_assertions) && std::env::var_os("DIFFTEST_FAULT").is_some_and(|f| f == name) {
        tracing::error!(fault = name, "aborting, as DIFFTEST_FAULT asks");
        std::process::abort();
    }
}
