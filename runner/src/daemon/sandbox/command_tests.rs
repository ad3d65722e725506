use super::*;

fn machine(isolation: Isolation) -> Machine {
    Machine {
        isolation,
        bubblewrap: "/usr/bin/bwrap".into(),
        can_disable_userns: true,
        can_size_tmpfs: true,
        system: vec![
            SystemEntry::Folder("/usr".into()),
            SystemEntry::Link { at: "/bin".into(), to: "usr/bin".into() },
            SystemEntry::Link { at: "/lib".into(), to: "usr/lib".into() },
        ],
        python: PythonEnvironment {
            executable: "/opt/difftest/venv/bin/python".into(),
            folders: vec!["/opt/difftest/venv".into(), "/opt/python/3.12".into()],
        },
        readable: vec!["/srv/weights".into()],
        devices: vec!["/dev/nvidia0".into()],
        passed_on: vec![("OMP_NUM_THREADS".into(), "1".into())],
        limits: Limits {
            memory_bytes: 8 << 30,
            processes: 512,
            output_bytes: 1 << 30,
            tmp_bytes: 2 << 30,
        },
    }
}

fn side(network: bool, base: Option<&Path>) -> Side<'_> {
    Side {
        source: Path::new("/var/lib/difftest/jobs/7/head"),
        out: Path::new("/var/lib/difftest/jobs/7/out-head"),
        base,
        network,
    }
}

/// One option a line, as a person would write it.
fn shown(line: &CommandLine) -> String {
    let mut text = String::new();
    for word in &line.argv {
        let word = word.to_string_lossy();
        let separator = if word.starts_with("--") || text.ends_with("--") { "\n" } else { " " };
        if !text.is_empty() {
            text.push_str(separator);
        }
        text.push_str(&word);
    }
    text.push_str("\n\n");
    for (name, value) in &line.env {
        text.push_str(&format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy()));
    }
    text
}

fn program() -> Vec<OsString> {
    os(["/opt/difftest/venv/bin/python", "-m", "difftest", "run"])
}

#[test]
fn head_side_as_root() {
    let base = Path::new("/var/lib/difftest/jobs/7/out-base");
    insta::assert_snapshot!(shown(
        &machine(Isolation::Root).command(&side(false, Some(base)), program())
    ));
}

#[test]
fn base_side_in_a_user_namespace_with_a_network() {
    insta::assert_snapshot!(shown(
        &machine(Isolation::UserNamespace).command(&side(true, None), program())
    ));
}

#[test]
fn without_a_sandbox() {
    insta::assert_snapshot!(shown(
        &machine(Isolation::None).command(&side(false, None), program())
    ));
}

#[test]
fn a_network_is_only_there_when_it_was_granted() {
    for isolation in [Isolation::Root, Isolation::UserNamespace] {
        let unshares = |network| {
            let line = machine(isolation).command(&side(network, None), program());
            line.argv.contains(&"--unshare-net".into())
        };
        assert!(unshares(false));
        assert!(!unshares(true));
    }
}
