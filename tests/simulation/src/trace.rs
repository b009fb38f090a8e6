//! What happened, as one number; and as lines, for whoever wants to know.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Everything that a run does goes through here: two runs are the same if their traces are.
#[derive(Debug, Default)]
pub struct Trace {
    hasher: DefaultHasher,
    /// Whether to print each event.
    print: bool,
    events: u64,
}

impl Trace {
    /// An empty trace.
    pub fn new(print: bool) -> Trace {
        Trace {
            print,
            ..Trace::default()
        }
    }

    /// Something happens, `at` so many microseconds.
    pub fn note(&mut self, at: u64, event: impl Hash + Debug) {
        (at, &event).hash(&mut self.hasher);
        self.events += 1;
        if self.print {
            println!("{:>12.6} {event:?}", at as f64 / 1e6);
        }
    }

    /// The number that stands for all of it.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }
}
