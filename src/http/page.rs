//! The chat page, embedded in the binary: its content security policy, and its representations, one of them
//! gzipped.

use std::borrow::Cow;
use std::io::Read;
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::Compression;
use flate2::read::GzEncoder;
use sha2::{Digest, Sha256};

use super::coding::Coding;
use super::etag::EntityTag;

/// A page in every content coding that the server has.
#[derive(Debug)]
pub struct Page {
    plain: Representation,
    gzip: Representation,
}

/// A page in one content coding.
#[derive(Debug)]
pub(super) struct Representation {
    body: Cow<'static, [u8]>,
    tag: EntityTag,
    /// The header lines of 200 and 304 responses, each with its line end.
    headers: String,
    /// The additional header lines of a 200 response.
    content_headers: &'static str,
}

static EMBEDDED: LazyLock<Page> = LazyLock::new(|| Page::new(include_str!("../../client.html")));

impl Page {
    /// The page that is built into this program. The first call computes the hashes of its policy, and
    /// compresses it.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// A page of one file. Its policy allows its own inline scripts and styles and no others.
    fn new(body: &'static str) -> Self {
        let (scripts, styles) = (sources(body, "script"), sources(body, "style"));
        let headers = format!(
            "Cache-Control: no-cache\r\n\
             Vary: Accept-Encoding\r\n\
             Referrer-Policy: no-referrer\r\n\
             Content-Security-Policy: default-src 'none'; script-src {scripts}; style-src {styles}; \
             connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'\r\n"
        );
        let plain = body.as_bytes();
        Self {
            gzip: Representation::new(
                gzipped(plain).into(),
                &headers,
                "Content-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n",
            ),
            plain: Representation::new(
                plain.into(),
                &headers,
                "Content-Type: text/html; charset=utf-8\r\n",
            ),
        }
    }

    pub(super) fn representation(&self, coding: Coding) -> &Representation {
        match coding {
            Coding::Identity => &self.plain,
            Coding::Gzip => &self.gzip,
        }
    }
}

impl Representation {
    fn new(body: Cow<'static, [u8]>, headers: &str, content_headers: &'static str) -> Self {
        let tag = EntityTag::of(&body);
        let headers = format!("ETag: {}\r\n{headers}", tag.quoted());
        Self {
            body,
            tag,
            headers,
            content_headers,
        }
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn tag(&self) -> &EntityTag {
        &self.tag
    }

    pub(super) fn headers(&self) -> &str {
        &self.headers
    }

    pub(super) fn content_headers(&self) -> &'static str {
        self.content_headers
    }
}

/// Compresses as hard as possible, because it is done once.
fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(bytes, Compression::best());
    let mut compressed = Vec::new();
    // Neither reading from a slice nor writing to a vector can fail.
    let _ = encoder.read_to_end(&mut compressed);
    // The compressor is kept, not freed. glibc takes the size of a large block that is freed for a sign that such blocks
    // come and go, and no longer gives each a mapping of its own: then every idle client costs 14 bytes more.
    std::mem::forget(encoder);
    compressed.shrink_to_fit();
    compressed
}

/// The source list of a content security policy for all inline elements of one kind: their hashes, or
/// `'none'`.
fn sources(page: &str, element: &str) -> String {
    let hashes: Vec<String> = inline(page, element)
        .map(|text| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text))))
        .collect();
    if hashes.is_empty() {
        "'none'".to_owned()
    } else {
        hashes.join(" ")
    }
}

/// Every text between the tags `<element ...>` and `</element>`.
fn inline<'p>(page: &'p str, element: &str) -> impl Iterator<Item = &'p str> {
    let (open, close) = (format!("<{element}"), format!("</{element}>"));
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            let (_, behind) = rest.split_once(&open)?;
            rest = behind;
            if !behind.starts_with(['>', ' ', '\n']) {
                continue;
            }
            let (_, behind) = behind.split_once('>')?;
            let (text, behind) = behind.split_once(&close)?;
            rest = behind;
            return Some(text);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_elements_are_found_and_nothing_else() {
        let page = "<styled>no</styled><style>a{}</style><p><script type=module>\n1<2\n</script>\
                    <script\n>'</p>'</script><script>unfinished";
        assert_eq!(inline(page, "style").collect::<Vec<_>>(), ["a{}"]);
        assert_eq!(
            inline(page, "script").collect::<Vec<_>>(),
            ["\n1<2\n", "'</p>'"]
        );
        assert_eq!(inline("", "script").count(), 0);
    }

    #[test]
    fn the_policy_names_the_hash_of_every_script_and_style() {
        let page = Page::new("<style></style><script>alert(1)</script><script></script>");
        let policy = "default-src 'none'; \
            script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=' \
            'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; \
            style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; ";
        let plain = Page::new("<p>");
        for coding in [Coding::Identity, Coding::Gzip] {
            let headers = page.representation(coding).headers();
            assert!(headers.contains(policy), "{headers}");
            let headers = plain.representation(coding).headers();
            assert!(headers.contains("script-src 'none'; style-src 'none';"));
        }
    }

    #[test]
    fn the_embedded_page_has_nothing_that_its_policy_forbids() {
        let page = Page::embedded().representation(Coding::Identity);
        let text = str::from_utf8(page.body()).unwrap();
        // A browser normalises CR LF to LF before it computes the hash.
        assert!(!text.contains('\r'));
        for forbidden in [
            " style=\"",
            " onclick=",
            " onload=",
            "javascript:",
            "<script src",
        ] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
        assert!(page.headers().ends_with("\r\n"));
        assert_eq!(page.headers().lines().count(), 5);
    }

    #[test]
    fn the_gzipped_page_is_the_page_and_smaller_and_has_a_tag_of_its_own() {
        let [plain, gzip] =
            [Coding::Identity, Coding::Gzip].map(|coding| Page::embedded().representation(coding));
        let mut inflated = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(gzip.body());
        decoder.read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated, plain.body());
        assert!(gzip.body().len() < plain.body().len() / 2);
        assert_ne!(plain.tag(), gzip.tag());
    }
}
