//! The page and the client library: small files that stand alone.

use std::{fs, path::Path};

const PAGE: &str = include_str!("../client.html");

/// Does what `client/assemble` does.
fn assemble() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("client/page");
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut page = String::new();
    for line in read("page.html").lines() {
        match line
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
        {
            Some(file) => read(file).lines().for_each(|whole| {
                let line = without_comment(whole);
                let line = line.strip_prefix("export ").unwrap_or(line);
                if !line.is_empty() || whole.is_empty() {
                    page += &format!("{line}\n");
                }
            }),
            None => page += &format!("{line}\n"),
        }
    }
    page
}

fn without_comment(line: &str) -> &str {
    let trimmed = line.trim_start_matches(' ');
    if trimmed.starts_with("// ") || (trimmed.starts_with("/*") && trimmed.ends_with("*/")) {
        return "";
    }
    line.split_once(" // ")
        .map_or(line, |(code, _)| code.trim_end_matches(' '))
}

#[test]
fn the_page_is_assembled_from_its_parts() {
    let assembled = assemble();
    let differs = PAGE
        .lines()
        .zip(assembled.lines())
        .position(|(is, should)| is != should);
    assert!(
        PAGE == assembled,
        "client.html differs from client/page and client/hushd.js, first in line {}: run client/assemble",
        differs.unwrap_or_else(|| PAGE.lines().count().min(assembled.lines().count())) + 1
    );
}

#[test]
fn both_stay_small() {
    assert!(PAGE.len() < 60_000, "{}", PAGE.len());
    let library: usize = include_str!("../client/hushd.js")
        .lines()
        .map(|line| without_comment(line).len() + 1)
        .sum();
    assert!(library < 8 * 1024, "{library}");
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
