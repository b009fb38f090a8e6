//! What the event loop keeps from turn to turn: queues, schedules and buffers, each a type with private fields.
//!
//! Each answers for itself whether it has work (`is_empty`), when it is due, and gives back the memory that a storm has
//! left (`shrink`). None knows another, nor the server.

mod acceptor;
mod buffers;
mod deadlines;
mod paused;
mod read_queue;
mod requests;
mod run_queue;
mod sweep;
mod timers;
mod write_queue;

pub(super) use acceptor::Acceptor;
pub(super) use buffers::Buffers;
pub(super) use deadlines::Deadlines;
pub(super) use paused::Paused;
pub(super) use read_queue::{ReadClass, ReadQueue};
pub(super) use requests::{Request, Requests};
pub(super) use run_queue::{BusyRoom, RunQueue};
pub(super) use sweep::KeepaliveSweep;
pub(super) use timers::{Deadline, Timers};
pub(super) use write_queue::WriteQueue;

/// Entries that an empty list keeps memory for.
pub(super) const SPARE_ENTRIES: usize = 256;
