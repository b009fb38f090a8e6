//! HTTP responses. Each of them closes the connection.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::page::Representation;
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
    Page(&'static Representation),
    NotModified(&'static Representation),
    Refusal(Refusal),
    Own {
        status: Status,
        /// Whole header lines.
        headers: String,
        bytes: Cow<'static, [u8]>,
    },
}

impl Response {
    /// A response with a body of this type.
    pub(super) fn new(
        status: Status,
        content_type: &'static str,
        bytes: Cow<'static, [u8]>,
        to_head: bool,
    ) -> Self {
        let headers = format!("Content-Type: {content_type}\r\n");
        let content = Body::Own {
            status,
            headers,
            bytes,
        };
        Self { content, to_head }
    }

    /// Adds a header line to a response of [`Call::respond`](super::Call::respond). Control characters in
    /// the value become spaces, so that it cannot end its line. Other responses stay as they are.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Body::Own { headers, .. } = &mut self.content {
            let value = value.replace(|c: char| c.is_control(), " ");
            // Writing to a `String` cannot fail.
            let _ = write!(headers, "{name}: {value}\r\n");
        }
        self
    }

    pub(super) fn page(page: &'static Representation, to_head: bool) -> Self {
        let content = Body::Page(page);
        Self { content, to_head }
    }

    /// 304: the client has this representation already (RFC 9110, section 15.4.5).
    pub(super) fn not_modified(page: &'static Representation, to_head: bool) -> Self {
        let content = Body::NotModified(page);
        Self { content, to_head }
    }

    /// Refuses the request that begins with `head`, of which any part may have come. Its method decides
    /// whether the response has a body.
    pub(super) fn refusing(refusal: Refusal, head: &[u8]) -> Self {
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        Self::refused(refusal, line.starts_with(b"HEAD "))
    }

    pub(super) fn refused(refusal: Refusal, to_head: bool) -> Self {
        let content = Body::Refusal(refusal);
        Self { content, to_head }
    }

    /// The status code.
    pub fn status(&self) -> Status {
        match &self.content {
            Body::Page(_) => Status::Ok,
            Body::NotModified(_) => Status::NotModified,
            Body::Refusal(refusal) => refusal.status(),
            Body::Own { status, .. } => *status,
        }
    }

    /// Whether the client has the page now: it is sent, or 304 says that the client has it already.
    pub fn is_page(&self) -> bool {
        match &self.content {
            Body::Page(_) | Body::NotModified(_) => true,
            Body::Refusal(_) | Body::Own { .. } => false,
        }
    }

    /// Why the request is refused, for the log.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.content {
            Body::Page(_) | Body::NotModified(_) | Body::Own { .. } => None,
            Body::Refusal(refusal) => Some(refusal),
        }
    }

    /// Appends the head of the response to `out`, and the text of a refusal. The returned bytes must be
    /// sent behind it: any other body, which is never copied. `unix_seconds` are seconds since 1970, for
    /// `Date`.
    pub fn write(self, unix_seconds: u64, out: &mut Vec<u8>) -> Cow<'static, [u8]> {
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
        let (mut text, mut body) = (String::new(), Some(Cow::default()));
        match self.content {
            Body::Page(page) => {
                head.push_str(page.content_headers());
                head.push_str(page.headers());
                body = Some(Cow::Borrowed(page.body()));
            }
            Body::NotModified(page) => {
                head.push_str(page.headers());
                // A 304 ends with its head, and so needs no length (RFC 9112, section 6.3).
                body = None;
            }
            Body::Refusal(refusal) => {
                head.push_str("Content-Type: text/plain; charset=utf-8\r\n");
                head.push_str(&refusal.headers());
                text = format!(
                    "{} {}: {}\n",
                    status.code(),
                    status.reason(),
                    refusal.sentence()
                );
            }
            Body::Own { headers, bytes, .. } => {
                head.push_str(&headers);
                body = Some(bytes);
            }
        }
        if let Some(body) = &body {
            // Writing to a `String` cannot fail.
            let _ = write!(head, "Content-Length: {}\r\n", text.len() + body.len());
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        if self.to_head {
            return Cow::default();
        }
        out.extend_from_slice(text.as_bytes());
        body.unwrap_or_default()
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
            let _ = Response::from(Refusal::Full).write(seconds, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!("\r\nDate: {date}\r\n")), "{text}");
        }
    }

    #[test]
    fn a_response_has_a_body_of_its_own_and_headers_that_cannot_be_split() {
        let response = |to_head| {
            Response::new(Status::Ok, "text/csv", b"a,b".to_vec().into(), to_head)
                .with_header("Cache-Control", "no-store")
                .with_header("X-Name", "tea\r\nSet-Cookie: x\0")
        };
        for (to_head, body) in [(false, &b"a,b"[..]), (true, b"")] {
            let mut head = Vec::new();
            assert_eq!(*response(to_head).write(0, &mut head), *body);
            assert_eq!(
                String::from_utf8(head).unwrap(),
                "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                 X-Content-Type-Options: nosniff\r\nConnection: close\r\n\
                 Content-Type: text/csv\r\nCache-Control: no-store\r\n\
                 X-Name: tea  Set-Cookie: x \r\nContent-Length: 3\r\n\r\n"
            );
        }
    }
}
