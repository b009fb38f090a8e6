//! The chat page, embedded in the binary, and its content security policy.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

/// A page and its header lines.
#[derive(Debug)]
pub struct Page {
    body: &'static str,
    headers: String,
}

static EMBEDDED: LazyLock<Page> = LazyLock::new(|| Page::new(include_str!("../../client.html")));

impl Page {
    /// The page that is built into this program. The first call computes the hashes of its policy.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// A page of one file. Its policy allows its own inline scripts and styles and no others.
    fn new(body: &'static str) -> Self {
        let (scripts, styles) = (sources(body, "script"), sources(body, "style"));
        let headers = format!(
            "Content-Type: text/html; charset=utf-8\r\n\
             Cache-Control: no-cache\r\n\
             Referrer-Policy: no-referrer\r\n\
             Content-Security-Policy: default-src 'none'; script-src {scripts}; style-src {styles}; \
             connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'\r\n"
        );
        Self { body, headers }
    }

    pub(super) fn body(&self) -> &'static [u8] {
        self.body.as_bytes()
    }

    /// The header lines that describe the page, each with its line end.
    pub(super) fn headers(&self) -> &str {
        &self.headers
    }
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
        assert!(page.headers().contains(policy), "{}", page.headers());
        assert!(
            Page::new("<p>")
                .headers()
                .contains("script-src 'none'; style-src 'none';")
        );
    }

    #[test]
    fn the_embedded_page_has_nothing_that_its_policy_forbids() {
        let page = Page::embedded();
        // A browser normalises CR LF to LF before it computes the hash.
        assert!(!page.body.contains('\r'));
        for forbidden in [
            " style=\"",
            " onclick=",
            " onload=",
            "javascript:",
            "<script src",
        ] {
            assert!(!page.body.contains(forbidden), "{forbidden}");
        }
        assert!(page.headers().ends_with("\r\n"));
        assert_eq!(page.headers().lines().count(), 4);
    }
}
