//! The whole server above the kernel, in a simulated world whose every choice is taken from the input; when
//! that is used up, everybody leaves or the server is told to end. All that the simulation looks at after
//! every turn must be so.

#![no_main]

use hushd_simulation::{EngineKind, Random, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(wrong) = run(Random::of_bytes(data), EngineKind::Embedded, false) {
        panic!("{wrong}");
    }
});
