//! Sizes and times of options, read and written with their units.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Bytes. K, M and G are powers of 1024; a bare number means bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteSize(pub(super) usize);

/// A time of at most a day. A bare number means seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timespan(pub(super) Duration);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        const NO_SIZE: &str = "a size is a number, with K, M or G if need be";
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let unit = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "K" | "KB" | "KIB" => 1 << 10,
            "M" | "MB" | "MIB" => 1 << 20,
            "G" | "GB" | "GIB" => 1 << 30,
            _ => return Err(NO_SIZE.into()),
        };
        let number: usize = number.parse().map_err(|_| NO_SIZE)?;
        number
            .checked_mul(unit)
            .filter(|&bytes| bytes <= 1 << 40)
            .map(ByteSize)
            .ok_or("that is more than 1024G".into())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        let fits = |(unit, _): &(usize, _)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (unit, letter) = units.into_iter().find(fits).unwrap_or((1, ""));
        write!(f, "{}{letter}", self.0 / unit)
    }
}

impl FromStr for Timespan {
    type Err = String;

    fn from_str(text: &str) -> Result<Timespan, String> {
        timespan(text, 1.0)
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// Reads a time of which a bare number means milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<Timespan, String> {
    timespan(text, 0.001)
}

/// Reads bytes a second. More than the largest would overflow the rate limiter's arithmetic.
pub(super) fn byte_rate(text: &str) -> Result<ByteSize, String> {
    let most = u32::MAX / 40;
    let rate: ByteSize = text.parse()?;
    if rate.0 > most as usize {
        return Err(format!("that is more than {most}"));
    }
    Ok(rate)
}

/// Reads a time with units, or a bare number of `unit` seconds.
fn timespan(text: &str, unit: f64) -> Result<Timespan, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let time = match text.parse::<f64>() {
        Ok(number) => Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }?;
    if time > DAY {
        return Err("that is longer than a day".into());
    }
    Ok(Timespan(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_with_and_without_units() {
        for (text, want) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64K", Some(65_536)),
            ("1MiB", Some(1 << 20)),
            ("2g", Some(2 << 30)),
            ("", None),
            ("K", None),
            ("1T", None),
            ("-1", None),
            ("99999999999G", None),
        ] {
            assert_eq!(text.parse().ok(), want.map(ByteSize), "{text}");
        }
        for (text, want) in [
            ("0", Some(0)),
            ("30", Some(30_000)),
            ("0.5", Some(500)),
            ("20ms", Some(20)),
            ("2m", Some(120_000)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("25h", None),
        ] {
            let want = want.map(|millis| Timespan(Duration::from_millis(millis)));
            assert_eq!(text.parse().ok(), want, "{text}");
        }
        assert_eq!(milliseconds("20"), Ok(Timespan(Duration::from_millis(20))));
        assert!(byte_rate("102M").is_ok() && byte_rate("103M").is_err());
    }

    #[test]
    fn sizes_and_times_are_written_as_they_can_be_read() {
        for text in ["0", "1", "256", "1000", "1K", "64K", "1025K", "3M", "1024G"] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
            assert!(size.to_string().len() <= text.len(), "{size}");
        }
        for text in ["0s", "20ms", "30s", "1h", "1m 30s"] {
            let time: Timespan = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
        }
    }
}
