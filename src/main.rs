//! The command `hushd`.

fn main() {}
