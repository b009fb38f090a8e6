//! The address that a connection counts for.

use std::fmt;
use std::net::IpAddr;

/// What a connection is counted by: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peer(u64);

impl Peer {
    /// No IPv6 address that a peer can have begins with these bits: multicast does.
    const IPV4: u64 = 0xffff_ffff_0000_0000;

    pub(super) fn of(address: IpAddr) -> Peer {
        match address.to_canonical() {
            IpAddr::V4(v4) => Peer(Peer::IPV4 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Peer((v6.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & Peer::IPV4 == Peer::IPV4 {
            std::net::Ipv4Addr::from_bits(self.0 as u32).fmt(f)
        } else {
            write!(
                f,
                "{}/64",
                std::net::Ipv6Addr::from_bits(u128::from(self.0) << 64)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_apart_by_ipv4_address_and_by_ipv6_prefix() {
        for (address, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(Peer::of(address.parse().unwrap()).to_string(), shown);
        }
    }
}
