//! The documents, held to what they describe: options, variables, links, files and quotations.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One option, as `hushd --help` tells it.
struct OptionHelp {
    heading: String,
    name: String,
    value: String,
    default: String,
    what: String,
    variable: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder with this ending, but for what is built or installed there.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            let skipped = ["target", "node_modules", "out", "corpus", "artifacts"];
            if !name.starts_with('.') && !skipped.contains(&name) {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Cuts what stands in brackets behind `key` out of a text.
fn cut(text: &mut String, key: &str) -> Option<String> {
    let open = format!("[{key}");
    let start = text.find(&open)?;
    let end = start + text[start..].find(']')?;
    let value = text[start + open.len()..end].trim().to_owned();
    text.replace_range(start..=end, "");
    Some(value)
}

fn options() -> Vec<OptionHelp> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hushd"));
    let output = command.arg("--help").env_clear().output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut found = Vec::new();
    // The first section has `--help` and `--version`, which have a letter too and no variable.
    let (_, sections) = help.split_once("\nOptions:\n").unwrap();
    let lines: Vec<&str> = sections.lines().collect();
    for section in lines.chunk_by(|_, next| next.is_empty() || next.starts_with(' ')) {
        let (heading, lines) = section.split_first().unwrap();
        let text = format!("\n{}", lines.join("\n"));
        for block in text.split("\n      --").skip(1) {
            let (head, text) = block.split_once('\n').unwrap();
            let (name, value) = head.split_once(" <").unwrap();
            let mut what = text.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push(OptionHelp {
                heading: heading.trim_end_matches(':').to_owned(),
                name: format!("--{name}"),
                value: value.trim_end_matches('>').to_owned(),
                variable: cut(&mut what, "env: ").unwrap(),
                default: cut(&mut what, "default: ").unwrap_or_default(),
                what: what.trim().to_owned(),
            });
        }
    }
    found
}

#[test]
fn the_readme_has_every_option_with_its_default_as_the_help_tells_it() {
    let mut table = String::new();
    let mut heading = String::new();
    for option in options() {
        if option.heading != heading {
            heading = option.heading;
            table += &format!("\n### {heading}\n\n| option | default | |\n|---|---|---|\n");
        }
        let value = option.value.replace('|', "\\|");
        let default = match option.default.as_str() {
            "" => "none".to_owned(),
            // What is worked out at the start is told in words.
            words if words.contains(' ') => words.to_owned(),
            value => format!("`{value}`"),
        };
        table += &format!(
            "| `{} {value}` | {default} | {} |\n",
            option.name, option.what
        );
    }
    assert!(
        read("README.md").contains(&table),
        "README.md needs these tables:\n{table}"
    );
}

#[test]
fn every_option_is_a_variable_of_its_name() {
    let options = options();
    assert!(options.len() > 20);
    for option in &options {
        let name = option.name.trim_start_matches('-').replace('-', "_");
        assert_eq!(option.variable, format!("HUSHD_{}=", name.to_uppercase()));
    }
    let known = |name: &str| {
        options
            .iter()
            .any(|option| option.variable == format!("{name}="))
    };
    for file in files(root(), ".md") {
        let text = fs::read_to_string(&file).unwrap();
        for (start, _) in text.match_indices("HUSHD_") {
            let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
            let name = text[start..].split(|c| !is_part(c)).next().unwrap();
            // Beside options: what all variables begin with, and the tests' own (which server to run).
            let is_known = known(name) || ["HUSHD_", "HUSHD_BIN"].contains(&name);
            assert!(is_known, "{}: {name}", file.display());
        }
    }
}

#[test]
fn every_option_that_a_document_names_exists() {
    let options = options();
    for file in files(root(), ".md") {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| line.contains("hushd --")) {
            let said = line.split("hushd --").nth(1).unwrap();
            for word in format!("--{said}").split([' ', '`']) {
                let name = word.split('=').next().unwrap();
                let exists = ["--help", "--version"].contains(&name)
                    || options.iter().any(|option| option.name == name);
                assert!(
                    !name.starts_with("--") || exists,
                    "{}: {line}",
                    file.display()
                );
            }
        }
    }
}

/// Where a document points, in Markdown's way or in HTML's.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (opening, closing) in [
        ("](", ')'),
        ("src=\"", '"'),
        ("srcset=\"", '"'),
        ("href=\"", '"'),
    ] {
        let behind = text.split(opening).skip(1);
        found.extend(
            behind
                .filter_map(|behind| behind.split_once(closing))
                .map(|(link, _)| link),
        );
    }
    found
}

/// What GitHub makes of a heading to point at.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let text: String = heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter(kept)
        .collect();
    text.to_lowercase().replace(' ', "-")
}

#[test]
fn links_within_the_documents_lead_somewhere() {
    for file in files(root(), ".md") {
        let text = fs::read_to_string(&file).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        for link in links(&prose) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", file.display());
            if !fragment.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|heading| anchor(heading) == fragment),
                    "{}: {link}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_source_file_that_the_architecture_names_exists() {
    let text = read("ARCHITECTURE.md");
    let named = text.split('`').skip(1).step_by(2);
    let mut files = named.filter(|word| word.ends_with(".rs") && word.contains('/'));
    let first = files.next();
    assert!(first.is_some());
    for file in first.into_iter().chain(files) {
        let is_there = ["src", ""].map(|folder| root().join(folder).join(file).is_file());
        assert!(is_there.contains(&true), "there is no {file}");
    }
}

#[test]
fn the_map_names_every_source_file_and_no_other() {
    let text = read("ARCHITECTURE.md");
    let src = root().join("src");
    let sources: Vec<String> = files(&src, ".rs")
        .iter()
        .map(|file| {
            file.strip_prefix(&src)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for source in &sources {
        let line = format!("\n- `{source}`: ");
        assert!(
            text.contains(&line),
            "ARCHITECTURE.md lacks a line `- `{source}`: ...`"
        );
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("- `")) {
        if let Some((name, _)) = line
            .split_once("`: ")
            .filter(|(name, _)| name.ends_with(".rs"))
        {
            assert!(
                sources.iter().any(|source| source == name),
                "ARCHITECTURE.md names {name}, which does not exist"
            );
        }
    }
}

#[test]
fn code_that_is_quoted_is_the_code_that_runs() {
    let text = read("ARCHITECTURE.md");
    let sources: Vec<String> = files(&root().join("src"), ".rs").iter().map(read).collect();
    let flat = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    };
    let quotations: Vec<_> = text.split("```rust\n").skip(1).collect();
    assert!(!quotations.is_empty());
    for quotation in quotations {
        let quoted = flat(quotation.split("```").next().unwrap());
        let stands = sources.iter().any(|source| flat(source).contains(&quoted));
        assert!(stands, "this stands nowhere in src:\n{quoted}");
    }
}

/// The lint `missing_docs` would also ask for fields and variants, whose names often say all that there is to say.
#[test]
fn public_functions_and_types_have_a_doc_comment() {
    let mut items = 0;
    for file in files(&root().join("src"), ".rs") {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let (mut documented, mut in_attribute) = (false, false);
        for line in code.lines().map(str::trim) {
            if line.starts_with("///") {
                documented = true;
            } else if in_attribute || line.starts_with("#[") {
                in_attribute = !line.ends_with(']');
            } else {
                if is_public_item(line) {
                    items += 1;
                    assert!(documented, "{}: {line}", file.display());
                }
                documented = false;
            }
        }
    }
    assert!(items > 100, "only {items} public items in src");
}

fn is_public_item(line: &str) -> bool {
    let kinds = ["fn ", "const fn ", "struct ", "enum ", "trait "];
    line.strip_prefix("pub ")
        .is_some_and(|rest| kinds.iter().any(|kind| rest.starts_with(kind)))
}
