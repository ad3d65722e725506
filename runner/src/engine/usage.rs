//! What this process uses, as the system says it.

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;

/// Memory in bytes, time in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub rss_bytes: u64,
    pub rss_peak_bytes: Option<u64>,
    pub cpu_seconds: f64,
    pub vram_bytes: Option<u64>,
}

/// Reads the usage. NVIDIA's library is loaded once; without it there is no video memory to see.
pub struct Meter {
    nvml: Option<Nvml>,
}

impl Meter {
    pub fn new() -> Self {
        Self { nvml: Nvml::init().ok() }
    }

    pub fn read(&self) -> Usage {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let (rss_bytes, rss_peak_bytes) = memory(&status);
        Usage {
            rss_bytes: rss_bytes.unwrap_or(0),
            rss_peak_bytes,
            cpu_seconds: cpu_ticks(&stat).unwrap_or(0) as f64
                / rustix::param::clock_ticks_per_second() as f64,
            vram_bytes: self.nvml.as_ref().and_then(video_memory),
        }
    }
}

/// How many NVIDIA cards there are.
pub fn cards() -> u32 {
    Nvml::init().and_then(|nvml| nvml.device_count()).unwrap_or(0)
}

/// `VmRSS` and `VmHWM` of `/proc/self/status` (proc_pid_status(5)), in bytes.
fn memory(status: &str) -> (Option<u64>, Option<u64>) {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    (field("VmRSS"), field("VmHWM"))
}

/// `utime` + `stime` of `/proc/self/stat` (proc_pid_stat(5)). The program's name, in parentheses,
/// may hold spaces and parentheses itself.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

/// What this process holds on all cards together. None where the driver does not list it, as in
/// containers with process numbers of their own.
fn video_memory(nvml: &Nvml) -> Option<u64> {
    let own = std::process::id();
    (0..nvml.device_count().ok()?)
        .filter_map(|index| nvml.device_by_index(index).ok()?.running_compute_processes().ok())
        .flatten()
        .filter(|process| process.pid == own)
        .filter_map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        })
        .reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_as_documented() {
        let status = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(memory(status), (Some(1 << 20), Some(2 << 20)));
        let stat = "7 (a (b) c) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!((memory(""), cpu_ticks("")), ((None, None), None));
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        let usage = Meter::new().read();
        assert!(usage.rss_bytes > 1 << 20, "{usage:?}");
        assert!(usage.rss_peak_bytes.unwrap() >= usage.rss_bytes / 2);
    }
}
