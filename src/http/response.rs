//! Responses: the page, or the reason why not. All of them close the connection.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::page::Page;
use super::refusal::{Refusal, Status};

/// The last second that a date can name: its year has four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// What a request is answered with if not with an upgrade. The connection ends with it.
#[derive(Clone, Debug)]
pub struct Response {
    content: Content,
    /// A response to HEAD has no body (RFC 9110, section 9.3.2).
    to_head: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Page(&'static Page),
    Refusal(Refusal),
}

impl Response {
    pub(super) fn page(page: &'static Page, to_head: bool) -> Self {
        Self {
            content: Content::Page(page),
            to_head,
        }
    }

    /// Turns away the request that begins with `head`, as far as that has come: the method decides
    /// whether there is a body.
    pub(super) fn refusing(refusal: Refusal, head: &[u8]) -> Self {
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        Self {
            content: Content::Refusal(refusal),
            to_head: line.starts_with(b"HEAD "),
        }
    }

    /// The status of the response.
    pub fn status(&self) -> Status {
        match &self.content {
            Content::Page(_) => Status::Ok,
            Content::Refusal(refusal) => refusal.status(),
        }
    }

    /// Why the request is turned away, if it is: worth a line in the log.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.content {
            Content::Page(_) => None,
            Content::Refusal(refusal) => Some(refusal),
        }
    }

    /// Appends the response to `out`, but for what is given back, which is to follow it and is
    /// never copied: the page. The date is in seconds since 1970 and
    /// comes from the caller's clock.
    pub fn write(&self, unix_seconds: u64, out: &mut Vec<u8>) -> &'static [u8] {
        let status = self.status();
        let date = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LAST_SECOND));
        let date = httpdate::HttpDate::from(date);
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\nX-Content-Type-Options: nosniff\r\n",
            status.code(),
            status.reason()
        );
        // A sender of Upgrade MUST name it in Connection too (RFC 9110, section 7.8).
        head.push_str(if status == Status::UpgradeRequired {
            "Connection: close, upgrade\r\n"
        } else {
            "Connection: close\r\n"
        });
        let (text, page) = match &self.content {
            Content::Page(page) => {
                head.push_str(page.headers());
                (String::new(), page.body())
            }
            Content::Refusal(refusal) => {
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
        // Writing to a String cannot fail.
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
    fn a_clock_that_is_off_is_no_reason_to_fall_over() {
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
