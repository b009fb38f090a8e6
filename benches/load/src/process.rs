//! Processor time and memory of the server's process, as Linux counts them.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// A process on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

impl Process {
    /// The time that all its living threads have spent on a processor, in the kernel too.
    ///
    /// # Errors
    ///
    /// When there is no such process, or no `/proc`.
    pub fn cpu(self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let times = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += times
                .split(' ')
                .next()
                .and_then(|on_cpu| on_cpu.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Its memory (proportional set size), in bytes.
    ///
    /// # Errors
    ///
    /// When there is no such process, or it belongs to another user.
    pub fn memory(self) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other("no Pss in smaps_rollup"))
    }
}

/// The time that the calling thread has spent on a processor.
#[must_use]
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps the calling thread, and the processes that it starts from now on, on one processor.
///
/// # Errors
///
/// When there is no such processor.
pub fn pin(processor: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}
