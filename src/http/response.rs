//! HTTP responses. Each of them closes the connection.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::page::Page;
use super::refusal::{Refusal, Status};

/// The last second that an HTTP date can express, because its year has four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// The response to a request that is not upgraded. The connection closes after it.
#[derive(Clone, Debug)]
pub struct Response {
    content: Body,
    /// A response to HEAD has no body (RFC 9110, section 9.3.2).
    to_head: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Page(&'static Page),
    Refusal(Refusal),
}

impl Response {
    pub(super) fn page(page: &'static Page, to_head: bool) -> Self {
        Self {
            content: Body::Page(page),
            to_head,
        }
    }

    /// Refuses the request that begins with `head`, of which any part may have come. Its method decides
    /// whether the response has a body.
    pub(super) fn refusing(refusal: Refusal, head: &[u8]) -> Self {
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        Self {
            content: Body::Refusal(refusal),
            to_head: line.starts_with(b"HEAD "),
        }
    }

    /// The status of the response.
    pub fn status(&self) -> Status {
        match &self.content {
            Body::Page(_) => Status::Ok,
            Body::Refusal(refusal) => refusal.status(),
        }
    }

    /// Why the request is refused, for the log.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.content {
            Body::Page(_) => None,
            Body::Refusal(refusal) => Some(refusal),
        }
    }

    /// Appends the head of the response to `out`, and a short body. The returned bytes must be sent
    /// behind it: the page, which is never copied. `unix_seconds` are seconds since 1970, for `Date`.
    pub fn write(&self, unix_seconds: u64, out: &mut Vec<u8>) -> &'static [u8] {
        let status = self.status();
        let date = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LAST_SECOND));
        let date = httpdate::HttpDate::from(date);
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\nX-Content-Type-Options: nosniff\r\n",
            status.code(),
            status.reason()
        );
        // A sender of `Upgrade` MUST name it in `Connection` too (RFC 9110, section 7.8).
        head.push_str(if status == Status::UpgradeRequired {
            "Connection: close, upgrade\r\n"
        } else {
            "Connection: close\r\n"
        });
        let (text, page) = match &self.content {
            Body::Page(page) => {
                head.push_str(page.headers());
                (String::new(), page.body())
            }
            Body::Refusal(refusal) => {
                head.push_str("Content-Type: text/plain; charset=utf-8\r\n");
                head.push_str(refusal.headers());
                let text = format!(
                    "{} {}: {}\n",
                    status.code(),
                    status.reason(),
                    refusal.sentence()
                );
                (text, &b""[..])
            }
        };
        // Writing to a `String` cannot fail.
        let _ = write!(head, "Content-Length: {}\r\n\r\n", text.len() + page.len());
        out.extend_from_slice(head.as_bytes());
        if self.to_head {
            return b"";
        }
        out.extend_from_slice(text.as_bytes());
        page
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Self::refusing(refusal, b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_still_gives_a_valid_date() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let mut out = Vec::new();
            Response::from(Refusal::Full).write(seconds, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!("\r\nDate: {date}\r\n")), "{text}");
        }
    }
}
