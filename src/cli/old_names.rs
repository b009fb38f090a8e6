//! Options and variables under their old names, which work for one release and are warned of.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Old names of options, and what they are called now. Each is also the name of a variable.
const RENAMED: [(&str, &str); 11] = [
    ("lane-bytes", "room-buffer"),
    ("lanes-bytes", "room-buffer-total"),
    ("history-bytes", "history-size"),
    ("histories-bytes", "history-size-total"),
    ("max-head", "max-request"),
    ("max-heads", "max-request-total"),
    ("max-owed", "client-buffer"),
    ("max-owed-in-all", "client-buffer-total"),
    ("max-half-messages", "partial-messages-total"),
    ("max-handshaking", "max-handshakes"),
    ("gather", "batch-delay"),
];

/// The command line under current names, and what is to be warned of.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// What the parser is to read. Values of variables under old names stand at the end as options, unless
    /// the option was given: the command line wins, whatever the name.
    pub(crate) arguments: Vec<OsString>,
    /// Old names that were used, beside the new ones.
    renamed: Vec<(String, String)>,
    /// Variables that begin as ours do and are none of ours.
    unknown: Vec<String>,
}

impl CommandLine {
    /// Translates a command line, of which the program's name is the first argument, and variables.
    /// `known` are the names of all variables that the parser reads.
    ///
    /// # Errors
    /// A sentence that names an option or a variable which is given under both names.
    pub(crate) fn new(
        line: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        known: &[String],
    ) -> Result<CommandLine, String> {
        let mut arguments: Vec<OsString> = line.into_iter().collect();
        let mut variables: Vec<_> = variables.into_iter().collect();
        variables.sort();
        let (mut renamed, mut from_variables) = (Vec::new(), Vec::new());
        for (old, new) in RENAMED {
            let given_as_new = has_option(&arguments, new);
            if has_option(&arguments, old) {
                if given_as_new {
                    return Err(format!(
                        "--{old} is the old name of --{new}: only one of them may be given"
                    ));
                }
                rename_option(&mut arguments, old, new);
                renamed.push((format!("--{old}"), format!("--{new}")));
            }
            let (old_variable, new_variable) = (variable(old), variable(new));
            let value_of = |name: &str| variables.iter().find(|(key, _)| key == name);
            if let Some((_, value)) = value_of(&old_variable) {
                if value_of(&new_variable).is_some() {
                    return Err(format!(
                        "{old_variable} is the old name of {new_variable}: only one of them may be set"
                    ));
                }
                if !has_option(&arguments, new) {
                    from_variables.push(option(new, value));
                }
                renamed.push((old_variable, new_variable));
            }
        }
        arguments.append(&mut from_variables);
        let is_known = |name: &str| {
            known.iter().any(|known| known == name)
                || RENAMED.iter().any(|(old, _)| variable(old) == name)
        };
        let unknown = variables
            .iter()
            .map(|(name, _)| name.to_string_lossy())
            .filter(|name| name.starts_with("HUSHD_") && !is_known(name))
            .map(|name| name.escape_debug().to_string())
            .collect();
        Ok(CommandLine {
            arguments,
            renamed,
            unknown,
        })
    }

    /// What the log is to say once.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let renamed = self.renamed.iter().map(|(old, new)| {
            format!("{old} is now {new}; the old name will go with the next release")
        });
        let unknown = self.unknown.iter();
        renamed.chain(unknown.map(|name| format!("{name} is no variable of hushd: it is ignored")))
    }

    /// Adds to a complaint what the option that it names was called by the user.
    pub(crate) fn explain(&self, complaint: &str) -> String {
        let mut text = complaint.to_owned();
        for (old, new) in &self.renamed {
            let names_it =
                |word: &str| word == new || variable(word.trim_start_matches('-')) == *new;
            if complaint
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .any(names_it)
            {
                text += &format!(" ({old} is now {new})");
            }
        }
        text
    }
}

/// The variable of an option.
fn variable(option: &str) -> String {
    format!("HUSHD_{}", option.replace('-', "_").to_uppercase())
}

/// The option that is given as `--name` or `--name=value`, and its value.
fn parts(argument: &OsStr) -> Option<(&[u8], Option<&[u8]>)> {
    let text = argument.as_bytes().strip_prefix(b"--")?;
    match text.iter().position(|&byte| byte == b'=') {
        Some(at) => Some((&text[..at], Some(&text[at + 1..]))),
        None => Some((text, None)),
    }
}

fn has_option(arguments: &[OsString], name: &str) -> bool {
    let named =
        |argument: &OsString| parts(argument).is_some_and(|(given, _)| given == name.as_bytes());
    arguments.iter().any(named)
}

fn rename_option(arguments: &mut [OsString], old: &str, new: &str) {
    for argument in arguments {
        let value = match parts(argument) {
            Some((name, value)) if name == old.as_bytes() => value,
            _ => continue,
        };
        *argument = match value {
            Some(value) => option(new, OsStr::from_bytes(value)),
            None => format!("--{new}").into(),
        };
    }
}

/// An option and its value in one argument.
fn option(name: &str, value: &OsStr) -> OsString {
    OsString::from_vec([format!("--{name}=").as_bytes(), value.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["HUSHD_ROOM_BUFFER", "HUSHD_MAX_ROOMS"];

    fn translated(line: &str, variables: &str) -> Result<CommandLine, String> {
        let line = line.split_whitespace().map(OsString::from);
        let variables = variables
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.into(), value.into()));
        CommandLine::new(line, variables, &KNOWN.map(String::from))
    }

    #[test]
    fn old_names_are_read_as_new_ones_and_warned_of_once() {
        for (line, variables, want, old) in [
            ("hushd", "", "hushd", &[][..]),
            ("hushd --room-buffer 1M", "", "hushd --room-buffer 1M", &[]),
            (
                "hushd --lane-bytes 1M --max-rooms=3",
                "",
                "hushd --room-buffer 1M --max-rooms=3",
                &["--lane-bytes"],
            ),
            (
                "hushd --lanes-bytes=9 --max-head=5 --max-heads 6 --max-headers 7",
                "",
                "hushd --room-buffer-total=9 --max-request=5 --max-request-total 6 --max-headers 7",
                &["--lanes-bytes", "--max-head", "--max-heads"],
            ),
            // Given twice under one name, which the parser refuses.
            (
                "hushd --gather 1 --gather 2",
                "",
                "hushd --batch-delay 1 --batch-delay 2",
                &["--gather"],
            ),
            (
                "hushd --max-rooms 1",
                "HUSHD_LANE_BYTES=4096 PATH=/bin",
                "hushd --max-rooms 1 --room-buffer=4096",
                &["HUSHD_LANE_BYTES"],
            ),
            // The command line wins over the environment, whatever the names.
            (
                "hushd --room-buffer 1",
                "HUSHD_LANE_BYTES=2",
                "hushd --room-buffer 1",
                &["HUSHD_LANE_BYTES"],
            ),
            (
                "hushd --lane-bytes 1",
                "HUSHD_LANE_BYTES=2",
                "hushd --room-buffer 1",
                &["--lane-bytes", "HUSHD_LANE_BYTES"],
            ),
            (
                "hushd --lane-bytes 1",
                "HUSHD_ROOM_BUFFER=2",
                "hushd --room-buffer 1",
                &["--lane-bytes"],
            ),
        ] {
            let translated = translated(line, variables).unwrap();
            let arguments: Vec<_> = want.split(' ').map(OsString::from).collect();
            assert_eq!(translated.arguments, arguments, "{line} {variables}");
            let warnings: Vec<_> = translated.warnings().collect();
            assert_eq!(warnings.len(), old.len(), "{warnings:?}");
            for (warning, old) in warnings.iter().zip(old) {
                assert!(warning.starts_with(&format!("{old} is now ")), "{warning}");
            }
        }
    }

    #[test]
    fn both_names_are_one_too_many() {
        for (line, variables, named) in [
            (
                "hushd --lane-bytes 1 --room-buffer 1",
                "",
                ["--lane-bytes", "--room-buffer"],
            ),
            (
                "hushd --batch-delay=1 --gather=2",
                "",
                ["--gather", "--batch-delay"],
            ),
            (
                "hushd",
                "HUSHD_LANE_BYTES=1 HUSHD_ROOM_BUFFER=1",
                ["HUSHD_LANE_BYTES", "HUSHD_ROOM_BUFFER"],
            ),
            // A contradiction, although the command line would win.
            (
                "hushd --room-buffer 1",
                "HUSHD_LANE_BYTES=1 HUSHD_ROOM_BUFFER=1",
                ["HUSHD_LANE_BYTES", "HUSHD_ROOM_BUFFER"],
            ),
        ] {
            let error = translated(line, variables).unwrap_err();
            assert!(named.iter().all(|name| error.contains(name)), "{error}");
        }
    }

    #[test]
    fn variables_that_are_none_of_ours_are_named() {
        let line = translated(
            "hushd",
            "HUSHD_ROOMS=1 HUSHD_GATHER=1 HUSHD_MAX_ROOMS=2 HUSH=3",
        );
        let warnings: Vec<_> = line.unwrap().warnings().collect();
        assert_eq!(
            warnings,
            [
                "HUSHD_GATHER is now HUSHD_BATCH_DELAY; the old name will go with the next release",
                "HUSHD_ROOMS is no variable of hushd: it is ignored"
            ]
        );
    }

    #[test]
    fn a_complaint_names_the_option_as_it_was_given() {
        let line = translated("hushd --lane-bytes 1", "HUSHD_LANES_BYTES=2").unwrap();
        assert_eq!(
            line.explain("--room-buffer 1 is too small"),
            "--room-buffer 1 is too small (--lane-bytes is now --room-buffer)"
        );
        assert_eq!(
            line.explain("bad value for '--room-buffer-total <SIZE>'"),
            "bad value for '--room-buffer-total <SIZE>' (HUSHD_LANES_BYTES is now HUSHD_ROOM_BUFFER_TOTAL)"
        );
        assert_eq!(
            line.explain("nothing to do with it"),
            "nothing to do with it"
        );
    }

    #[test]
    fn values_that_are_no_text_are_passed_on_as_they_are() {
        let raw = OsString::from_vec(b"--lane-bytes=\xff".to_vec());
        let line = CommandLine::new(["hushd".into(), raw], [], &[]).unwrap();
        assert_eq!(line.arguments[1].as_bytes(), b"--room-buffer=\xff");
    }
}
