//! Server-sent events: the format of an event stream (HTML Standard, section 9.2.6).

use std::fmt::Display;

use crate::feed::Record;

/// One whole event.
///
/// # Examples
///
/// ```
/// use hushd::feed::Record;
/// use hushd::sse::StreamEvent;
///
/// let event = StreamEvent::new(Some(7), "two\nlines");
/// assert_eq!(event.parts().concat(), b"id: 7\ndata: two\ndata: lines\n\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    bytes: Vec<u8>,
}

impl StreamEvent {
    /// A comment, which clients ignore: it shows that the connection is alive.
    pub const COMMENT: &'static [u8] = b":\n\n";

    /// An event with this data. A client that comes back sends the `id` of the last event that had one.
    pub fn new(id: Option<impl Display>, data: &str) -> StreamEvent {
        let mut bytes = Vec::with_capacity(data.len() + 48);
        if let Some(id) = id {
            bytes.extend_from_slice(format!("id: {id}\n").as_bytes());
        }
        // A line ends with LF, CR or both. A client joins the lines of one event with LF.
        for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
            for part in ["data: ", line, "\n"] {
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        bytes.push(b'\n');
        StreamEvent { bytes }
    }
}

impl Record for StreamEvent {
    fn parts(&self) -> [&[u8]; 2] {
        [&self.bytes, b""]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_has_its_field() {
        for (id, data, want) in [
            (None, "", "data: \n\n"),
            (None, "hi", "data: hi\n\n"),
            (Some("e.1"), "hi", "id: e.1\ndata: hi\n\n"),
            (Some("e.2"), " hi", "id: e.2\ndata:  hi\n\n"),
            (None, "a\nb", "data: a\ndata: b\n\n"),
            (
                None,
                "a\rb\r\nc\n\r",
                "data: a\ndata: b\ndata: c\ndata: \ndata: \n\n",
            ),
        ] {
            let event = StreamEvent::new(id, data).parts().concat();
            assert_eq!(String::from_utf8(event).unwrap(), want, "{data:?}");
        }
    }
}
