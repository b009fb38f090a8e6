//! The front door: request heads in, responses out.
