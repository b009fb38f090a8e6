//! What the browser gets: small files that stand alone, with one library in both.

const PAGE: &str = include_str!("../client.html");
const LIBRARY: &str = include_str!("../client/hushd.js");

#[test]
fn the_page_holds_the_client_library_word_for_word() {
    assert!(
        PAGE.contains(&format!("<script type=\"module\">\n{LIBRARY}\n")),
        "copy client/hushd.js to the beginning of the script in client.html"
    );
}

#[test]
fn both_stay_small() {
    assert!(PAGE.len() < 60_000, "{}", PAGE.len());
    assert!(LIBRARY.len() < 8 * 1024, "{}", LIBRARY.len());
}

#[test]
fn nothing_that_others_say_can_become_markup_or_code() {
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
        "setAttribute('style'",
        "srcdoc",
    ] {
        assert!(!PAGE.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn the_page_asks_nobody_but_the_server() {
    for forbidden in ["src=", "@import", "url(", "import(", "fetch("] {
        assert!(!PAGE.contains(forbidden), "{forbidden}");
    }
    // The only link is the icon, which stands inline.
    assert_eq!(PAGE.matches("<link ").count(), 1);
    assert!(PAGE.contains("<link rel=\"icon\" href=\"data:image/svg+xml,"));
}
