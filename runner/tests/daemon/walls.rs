//! What a job can see and touch.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use base64::Engine as _;
use difftest_core::protocol::{Completion, Sandbox};

use crate::app::{GIT_TOKEN, LEASE_TOKEN, RUNNER_TOKEN};
use crate::harness::{World, sandboxed};

/// Runs `script` as both sides and returns what each wrote to `$OUT/told`.
async fn told(world: &World, script: &str, network: bool) -> Vec<String> {
    let script = format!("started\n{script}\nsays \"$(base64 -w0 \"$OUT/told\")\"\nfinished");
    let mut spec = world.offer(&script, &script);
    spec.network = network;
    world.app.offer(spec);
    world.daemon(&["--once"]).ends().await;
    let sides = ["base", "head"].into_iter();
    sides.map(|side| decoded(&world.app.said(side).pop().unwrap())).collect()
}

fn decoded(text: &str) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_the_job() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let look = r#"{
        env; cat /proc/*/environ /proc/*/cmdline | tr '\0' '\n'
        find / -xdev -name '.git*' 2>/dev/null
        find /job -type f -exec cat {} +; ls -la / /job /tmp /etc /root /home 2>&1
        echo LOOKED
    } > /tmp/told 2>&1; cp /tmp/told "$OUT/told""#;
    for text in told(&world, look, false).await {
        assert!(text.contains("HOME=/tmp") && text.contains("LOOKED"), "{text}");
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{GIT_TOKEN}"));
        for secret in [RUNNER_TOKEN, LEASE_TOKEN, GIT_TOKEN, &basic, "CARGO_", "shadow"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(!text.contains("/.git\n"), "{text}");
    }
    // And nothing of the token stays where the next job's repository is kept.
    let mut folders = vec![world.work_dir()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                assert!(!text.contains(GIT_TOKEN), "{path:?}");
                assert!(!text.to_lowercase().contains("authorization"), "{path:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_writes_nowhere_but_to_its_output() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let tries = r#"{
        for place in / /usr /etc /dev /job /job/source /job/base /root /sys /proc/sys/kernel; do
          if touch "$place/written" 2>/dev/null; then echo "WROTE $place"; fi
        done
        for place in /job/out /tmp /dev/shm; do touch "$place/written" && echo "may $place"; done
        id -u; id -g; grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs)' /proc/self/status
        echo "first to go $(cat /proc/self/oom_score_adj)"
        echo "processes $(ls -d /proc/[0-9]* | wc -l)"
        mount -t tmpfs none /tmp 2>&1 && echo MOUNTED
        true
    } > /tmp/told 2>&1; cp /tmp/told "$OUT/told""#;
    for text in told(&world, tries, false).await {
        assert!(!text.contains("WROTE") && !text.contains("MOUNTED"), "{text}");
        assert!(text.contains("may /job/out\nmay /tmp\nmay /dev/shm\n65534\n65534\n"), "{text}");
        assert!(text.contains("CapPrm:\t0000000000000000"), "{text}");
        assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
        assert!(text.contains("CapBnd:\t0000000000000000"), "{text}");
        assert!(text.contains("NoNewPrivs:\t1"), "{text}");
        assert!(text.contains("first to go 1000"), "{text}");
        let processes = text.lines().find_map(|line| line.strip_prefix("processes ")).unwrap();
        assert!(processes.parse::<u32>().unwrap() < 10, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_there_only_when_it_was_granted() {
    if !sandboxed() {
        return;
    }
    for network in [false, true] {
        let world = World::new().await;
        let port = world.app.port;
        let call = format!(
            "if bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null; \
             then echo reached; else echo alone; fi > $OUT/told"
        );
        let expected = if network { "reached\n" } else { "alone\n" };
        assert_eq!(told(&world, &call, network).await, [expected, expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_the_repository_lead_nowhere() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let look = script_of("cat secret > $OUT/told 2>&1; says \"$(base64 -w0 $OUT/told)\"");
    let base = world.repository.commit(&[("job.sh", &look)]);
    let secret = world.folder.path().join("secret");
    std::fs::write(&secret, "the operator's").unwrap();
    let head = world.repository.commit_link("secret", &secret, &[("job.sh", &look)]);
    world.app.offer(world.spec(base, head));
    world.daemon(&["--once"]).ends().await;
    assert!(!decoded(&world.app.said("head").pop().unwrap()).contains("the operator's"));
}

fn script_of(body: &str) -> String {
    crate::harness::script(&format!("started; {body}; finished"))
}

/// A `PATH` with git and no bubblewrap.
fn path_without_bubblewrap(world: &World) -> PathBuf {
    let folder = world.folder.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&path).map(|f| f.join("git")).find(|p| p.is_file()).unwrap();
    symlink(git, folder.join("git")).unwrap();
    for tool in ["sh", "dirname"] {
        symlink(PathBuf::from("/bin").join(tool), folder.join(tool)).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sandbox_no_job_is_taken() {
    let world = World::new().await;
    world.offer("started; finished", "started; finished");
    let path = path_without_bubblewrap(&world);
    let status = world.daemon_process(&["--once"], &path).wait().unwrap();
    assert_eq!(status.code(), Some(2));
    assert_eq!(world.app.story().renewals, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sandbox_by_choice_every_result_says_so() {
    let world = World::new().await;
    let look = "env > $OUT/told; says \"$(base64 -w0 $OUT/told)\"";
    let script = format!("started; image one; {look}; finished");
    world.offer(&script, &script);
    let path = path_without_bubblewrap(&world);
    let status = world.daemon_process(&["--once", "--allow-unsandboxed"], &path).wait().unwrap();
    assert!(status.success());
    let done = Completion::Finished { sandbox: Sandbox::None };
    assert_eq!(world.app.story().completions, [done]);
    assert_eq!(world.app.story().images.len(), 1);
    let environment = decoded(&world.app.said("head").pop().unwrap());
    for secret in [RUNNER_TOKEN, LEASE_TOKEN, GIT_TOKEN, "DIFFTEST_TEST_DAEMON"] {
        assert!(!environment.contains(secret), "{environment}");
    }
}
