//! Content negotiation: the choice of a content coding by `Accept-Encoding` (RFC 9110, section 12.5.3).

use crate::ws::handshake::elements;

/// A content coding that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

/// A weight in thousandths (RFC 9110, section 12.4.2). 0 means "not acceptable".
type Weight = u16;

impl Coding {
    /// The coding that the client prefers, given the values of all its `Accept-Encoding` headers. Gzip is
    /// preferred among equals. `None`: the client accepts neither.
    ///
    /// A malformed element is ignored. So is a second element of the same name.
    pub(super) fn negotiate<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (mut gzip, mut identity, mut any) = (None, None, None);
        for (name, weight) in values.flat_map(elements).filter_map(weighted) {
            let known =
                if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                    &mut gzip
                } else if name.eq_ignore_ascii_case(b"identity") {
                    &mut identity
                } else if name == b"*" {
                    &mut any
                } else {
                    continue;
                };
            known.get_or_insert(weight);
        }
        // An unlisted coding is not acceptable. Identity alone always is, unless it is excluded.
        let gzip = gzip.or(any).unwrap_or(0);
        match identity.or(any) {
            identity if gzip > 0 && gzip >= identity.unwrap_or(0) => Some(Self::Gzip),
            Some(0) => None,
            Some(_) | None => Some(Self::Identity),
        }
    }
}

/// An element `coding [ ; q=weight ]`.
fn weighted(element: &[u8]) -> Option<(&[u8], Weight)> {
    let Some(end) = memchr::memchr(b';', element) else {
        return Some((element, 1_000));
    };
    let (name, parameter) = element.split_at(end);
    let [b'q' | b'Q', b'=', value @ ..] = parameter.get(1..)?.trim_ascii_start() else {
        return None;
    };
    Some((name.trim_ascii_end(), weight(value)?))
}

/// A weight: `0` or `1`, with at most three decimals.
fn weight(value: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut weight = Weight::from(whole - b'0');
    for nth in 0..3 {
        let digit = *decimals.get(nth).unwrap_or(&b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        weight = weight * 10 + Weight::from(digit - b'0');
    }
    (weight <= 1_000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_the_coding() {
        let (gzip, identity) = (Some(Coding::Gzip), Some(Coding::Identity));
        for (values, want) in [
            (&[][..], identity),
            (&[""], identity),
            (&["gzip"], gzip),
            (&["x-gzip"], gzip),
            (&["GZIP"], gzip),
            (&["gzip, deflate, br, zstd"], gzip),
            (&["br", "gzip"], gzip),
            (&["deflate, br"], identity),
            (&["identity"], identity),
            (&["gzip;q=0"], identity),
            (&["gzip;q=0.000"], identity),
            (&["gzip;q=0.001"], gzip),
            (&["gzip ; Q=1.0"], gzip),
            (&["gzip;q=1.000, identity;q=1"], gzip),
            (&["gzip;q=0.5, identity"], identity),
            (&["gzip;q=0.5, identity;q=0.4"], gzip),
            (&["gzip;q=0.5, identity;q=0.500"], gzip),
            (&["*"], gzip),
            (&["*;q=0.1"], gzip),
            (&["gzip;q=0, *"], identity),
            (&["identity, *;q=0.1"], identity),
            (&["br, *;q=0.1"], gzip),
            (&["identity;q=0"], None),
            (&["*;q=0"], None),
            (&["gzip;q=0, identity;q=0"], None),
            (&["gzip;q=0, *;q=0"], None),
            (&["br, identity;q=0"], None),
            (&["identity;q=0, *;q=0.5"], gzip),
            (&["identity;q=0, gzip"], gzip),
            (&["*;q=0, identity"], identity),
            (&["*;q=0, gzip;q=0.1"], gzip),
            // A malformed element is ignored, and so is a repeated one.
            (&["gzip;q=1.001"], identity),
            (&["gzip;q=2"], identity),
            (&["gzip;q=0.0001"], identity),
            (&["gzip;q="], identity),
            (&["gzip;q=.5"], identity),
            (&["gzip;q=-1"], identity),
            (&["gzip;q=0,5"], identity),
            (&["gzip;"], identity),
            (&["gzip;x=1"], identity),
            (&["gzip;q=1;q=0"], identity),
            (&["gzip;q=1.0x"], identity),
            (&["gzip gzip"], identity),
            (&["gzip;q=0, gzip"], identity),
            (&["\u{e9}, gzip"], gzip),
        ] {
            let found = Coding::negotiate(values.iter().map(|value| value.as_bytes()));
            assert_eq!(found, want, "{values:?}");
        }
    }
}
