//! Watches what a job uses. A process's own limits do not add up over its children, and control
//! groups are not writable on every machine, so the sum is read from `/proc`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sandbox::Limits;

const LOOKS_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    pub pid: i32,
    pub parent: i32,
    pub resident_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub processes: u64,
    pub resident_bytes: u64,
}

/// What `root` and all below it use.
pub fn usage(observed: &[Observed], root: i32) -> Usage {
    let mut children: HashMap<i32, Vec<&Observed>> = HashMap::new();
    for process in observed {
        children.entry(process.parent).or_default().push(process);
    }
    let mut usage = Usage::default();
    let mut next: Vec<&Observed> = observed.iter().filter(|p| p.pid == root).collect();
    while let Some(process) = next.pop() {
        usage.processes += 1;
        usage.resident_bytes += process.resident_bytes;
        // Two looks at a changing table could make a ring: each list is taken once.
        next.extend(children.remove(&process.pid).unwrap_or_default());
    }
    usage
}

/// Resolves with a sentence when a job uses more than it may. `out` is its output folder.
pub async fn exceeded(root: i32, limits: Limits, out: PathBuf) -> String {
    loop {
        tokio::time::sleep(LOOKS_EVERY).await;
        let out = out.clone();
        let look = move || (usage(&observe(), root), written(&out, limits.output_bytes));
        let Ok((usage, written)) = tokio::task::spawn_blocking(look).await else { continue };
        if usage.resident_bytes > limits.memory_bytes {
            return format!(
                "it used {} MiB of memory, more than this runner's limit of {} MiB a job",
                usage.resident_bytes >> 20,
                limits.memory_bytes >> 20
            );
        }
        if usage.processes > limits.processes {
            return format!("it had more than {} processes", limits.processes);
        }
        if written > limits.output_bytes {
            let most = limits.output_bytes >> 20;
            return format!("it wrote more than {most} MiB to its output folder");
        }
    }
}

/// What a folder takes on the disk, in bytes, counted no further than `most`. Links are not
/// followed: the job made them. A file of nothing counts too, as a folder's entry takes a block.
fn written(folder: &Path, most: u64) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // The job hides what it wrote.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return u64::MAX,
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            // On Linux this is lstat(2).
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512 + 256;
            if bytes > most {
                return bytes;
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

fn observe() -> Vec<Observed> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            parse_status(pid, &status)
        })
        .collect()
}

/// proc_pid_status(5). A process that is ending has no `VmRSS`. A newline in a process's name is
/// escaped there, so no job can forge a line.
fn parse_status(pid: i32, status: &str) -> Option<Observed> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()
    };
    let resident_kib: u64 = field("VmRSS:").and_then(|kib| kib.parse().ok()).unwrap_or(0);
    Some(Observed {
        pid,
        parent: field("PPid:")?.parse().ok()?,
        resident_bytes: resident_kib.saturating_mul(1024),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test should panic")]
    use super::*;

    #[test]
    fn a_tree_is_summed_and_strangers_are_not() {
        let process = |pid, parent| Observed { pid, parent, resident_bytes: 10 };
        let table = [process(1, 0), process(5, 1), process(6, 5), process(7, 6), process(9, 1)];
        assert_eq!(usage(&table, 5), Usage { processes: 3, resident_bytes: 30 });
        assert_eq!(usage(&table, 42), Usage::default());
    }

    #[test]
    fn what_lies_behind_a_link_is_not_the_job_s() {
        let (out, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("large"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink(other.path(), out.path().join("link")).unwrap();
        assert!(written(out.path(), u64::MAX) < 50_000);
        std::fs::create_dir(out.path().join("images")).unwrap();
        std::fs::write(out.path().join("images/large"), vec![1; 100_000]).unwrap();
        assert!(written(out.path(), u64::MAX) >= 100_000);
    }

    #[test]
    fn the_kernel_s_table_is_read() {
        let status = "Name:\tpython\nPPid:\t7\nVmRSS:\t   33 kB\n";
        let expected = Observed { pid: 12, parent: 7, resident_bytes: 33 * 1024 };
        assert_eq!(parse_status(12, status), Some(expected));
        let own = std::process::id() as i32;
        assert!(observe().iter().any(|p| p.pid == own && p.resident_bytes > 0));
    }
}
