//! Buffers that all connections share, because one is served at a time.

use std::mem;

use crate::server::Ready;
use crate::ws::deflate::Inflater;

/// Each is taken out where the server itself is borrowed meanwhile, and put back.
#[derive(Debug)]
pub(in crate::server) struct Buffers {
    /// What one read brings.
    scratch: Box<[u8]>,
    /// What one wait brings.
    events: Vec<Ready>,
    /// Inflates compressed messages, from the first on.
    inflater: Option<Inflater>,
}

impl Buffers {
    pub(in crate::server) fn new(read_bytes: usize) -> Buffers {
        Buffers {
            scratch: vec![0; read_bytes].into(),
            events: Vec::new(),
            inflater: None,
        }
    }

    pub(in crate::server) fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }

    pub(in crate::server) fn take_scratch(&mut self) -> Box<[u8]> {
        mem::take(&mut self.scratch)
    }

    pub(in crate::server) fn put_scratch(&mut self, scratch: Box<[u8]>) {
        self.scratch = scratch;
    }

    pub(in crate::server) fn take_events(&mut self) -> Vec<Ready> {
        mem::take(&mut self.events)
    }

    pub(in crate::server) fn put_events(&mut self, events: Vec<Ready>) {
        self.events = events;
    }

    pub(in crate::server) fn take_inflater(&mut self) -> Option<Inflater> {
        self.inflater.take()
    }

    pub(in crate::server) fn put_inflater(&mut self, inflater: Option<Inflater>) {
        self.inflater = inflater;
    }
}
