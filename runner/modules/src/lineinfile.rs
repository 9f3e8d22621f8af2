//! lineinfile: one line of a file present or absent.

use std::fs;
use std::path::{Path, PathBuf};

use fancy_regex::Regex;

use crate::args::Args;
use crate::attributes::add_path_info;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::absolute;
use crate::pattern::{self, Flags};
use crate::replace::{Writing, add_text_diff};

struct LineArgs {
    path: PathBuf,
    line: Option<String>,
    regexp: Option<String>,
    search_string: Option<String>,
    absent: bool,
    insertafter: Option<String>,
    insertbefore: Option<String>,
    backrefs: bool,
    create: bool,
    firstmatch: bool,
    writing: Writing,
}

impl LineArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let own = Self {
            path: args.required_path("path")?,
            line: args.text("line"),
            regexp: args.text("regexp"),
            search_string: args.text("search_string"),
            absent: args.text("state").as_deref() == Some("absent"),
            insertafter: args.text("insertafter"),
            insertbefore: args.text("insertbefore"),
            backrefs: args.flag("backrefs", false)?,
            create: args.flag("create", false)?,
            firstmatch: args.flag("firstmatch", false)?,
            writing: Writing::read(args)?,
        };
        own.check().map(|()| own)
    }

    fn check(&self) -> Result<(), Failure> {
        let words = if self.insertafter.is_some() && self.insertbefore.is_some() {
            "parameters are mutually exclusive: insertbefore|insertafter"
        } else if self.regexp.is_some() && self.search_string.is_some() {
            "parameters are mutually exclusive: regexp|search_string"
        } else if self.backrefs && self.search_string.is_some() {
            "parameters are mutually exclusive: backrefs|search_string"
        } else if self.backrefs && self.regexp.is_none() {
            "regexp is required with backrefs=true"
        } else {
            return Ok(());
        };
        Err(Failure::new(words))
    }
}

/// A file as text lines, each with its end. A file that is not UTF-8 is read byte for byte, so that what is not
/// touched stays exactly as it was.
struct Text {
    lines: Vec<String>,
    bytewise: bool,
}

impl Text {
    fn read(bytes: &[u8]) -> Self {
        let (text, bytewise) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (latin1(bytes), true),
        };
        Self { lines: text.split_inclusive('\n').map(str::to_owned).collect(), bytewise }
    }

    /// What the task gives, in the file's terms.
    fn own(&self, text: &str) -> String {
        if self.bytewise { latin1(text.as_bytes()) } else { text.to_owned() }
    }

    fn bytes(&self) -> Vec<u8> {
        let text = self.lines.concat();
        if self.bytewise {
            text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
        } else {
            text.into_bytes()
        }
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// # Errors
/// What Ansible's lineinfile refuses, and what the system refuses.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = LineArgs::read(args)?;
    let path =
        if own.path.is_symlink() { fs::canonicalize(&own.path).unwrap_or(own.path.clone()) } else { own.path.clone() };
    if path.is_dir() {
        return Err(Failure::new(format!("Path {} is a directory !", path.display())).with("rc", 256));
    }
    if own.absent && own.line.is_none() && own.regexp.is_none() && own.search_string.is_none() {
        return Err(Failure::new("one of line, search_string, or regexp is required with state=absent"));
    }
    if !own.absent && own.line.is_none() {
        return Err(Failure::new("line is required with state=present"));
    }
    let before = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::new(format!("cannot read {}: {error}", path.display()))),
    };
    if before.is_none() && own.absent {
        return Ok(Outcome::new(false).with("msg", "file not present"));
    }
    if before.is_none() && !own.create {
        return Err(Failure::new(format!("Destination {} does not exist !", path.display())).with("rc", 257));
    }
    let mut text = Text::read(before.as_deref().unwrap_or_default());
    let mut outcome = Outcome::new(false).with("backup", "");
    let words = if own.absent { remove(&own, &mut text, &mut outcome)? } else { place(&own, &mut text)? };
    let after = text.bytes();
    write(&own, &path, before.as_deref(), &after, words, outcome, context)
}

fn write(
    own: &LineArgs,
    path: &Path,
    before: Option<&[u8]>,
    after: &[u8],
    words: String,
    mut outcome: Outcome,
    context: &Context,
) -> ModuleResult {
    let differs = before != Some(after);
    let mut words = if differs { words } else { String::new() };
    if differs && !context.check {
        let folder = path.parent().unwrap_or(Path::new("/"));
        if before.is_none() && !folder.exists() {
            fs::create_dir_all(folder)
                .map_err(|error| Failure::new(format!("Error creating {}: {error}", folder.display())))?;
        }
        if let Some(backup) = own.writing.replace(path, after, context)? {
            outcome.set("backup", backup.to_string_lossy().into_owned());
            outcome.artifacts.push(absolute(&backup));
        }
    }
    let mut changed = differs;
    if path.exists() && !(differs && context.check) {
        // `replace` has set them already where the file was written
        if own.writing.attributes.apply(path, context.check)? {
            if !changed || !words.is_empty() {
                words =
                    if words.is_empty() { "ownership, perms or SE linux context changed".to_owned() } else { words };
            }
            changed = true;
        }
    }
    if context.diff && differs {
        add_text_diff(&mut outcome, path, before, after);
    }
    outcome.set("changed", changed);
    outcome.set("msg", words);
    if changed && !context.check {
        outcome.artifacts.push(absolute(path));
    }
    add_path_info(&mut outcome, path);
    Ok(outcome)
}

fn remove(own: &LineArgs, text: &mut Text, outcome: &mut Outcome) -> Result<String, Failure> {
    let regex = own.regexp.as_deref().map(|regexp| compile(&text.own(regexp))).transpose()?;
    let line = own.line.as_deref().map(|line| text.own(without_end(line)));
    let search = own.search_string.as_deref().map(|search| text.own(search));
    let count = text.lines.len();
    let mut kept = Vec::with_capacity(count);
    for existing in std::mem::take(&mut text.lines) {
        let hit = match (&regex, &search, &line) {
            (Some(regex), ..) => is_match(regex, without_end(&existing))?,
            (None, Some(search), _) => existing.contains(search.as_str()),
            (None, None, Some(line)) => without_end(&existing) == line,
            (None, None, None) => false,
        };
        if !hit {
            kept.push(existing);
        }
    }
    text.lines = kept;
    let found = count - text.lines.len();
    outcome.set("found", found);
    Ok(if found > 0 { format!("{found} line(s) removed") } else { String::new() })
}

fn compile(pattern: &str) -> Result<Regex, Failure> {
    pattern::compile(pattern, Flags::default()).map_err(Failure::new)
}

/// A pattern may need more steps than the engine makes; that must not pass for "no match".
fn is_match(regex: &Regex, text: &str) -> Result<bool, Failure> {
    regex.is_match(text).map_err(|error| Failure::new(format!("regular expression {}: {error}", regex.as_str())))
}

/// Where lines stand that matter.
#[derive(Default)]
struct Found {
    /// The line itself, or what regexp or search_string match (the last one, or the first with firstmatch).
    line: Option<usize>,
    /// The line is there word by word, so that nothing is to be inserted.
    exact: bool,
    /// After which line to insert (so many lines stand before it).
    insert: Option<usize>,
}

fn find(own: &LineArgs, text: &Text) -> Result<Found, Failure> {
    let regex = own.regexp.as_deref().map(|regexp| compile(&text.own(regexp))).transpose()?;
    let search = own.search_string.as_deref().map(|search| text.own(search));
    let line = text.own(without_end(own.line.as_deref().unwrap_or_default()));
    let anchor = match (&own.insertafter, &own.insertbefore) {
        (Some(after), _) if !matches!(after.as_str(), "EOF" | "BOF") => Some((compile(&text.own(after))?, 1)),
        (None, Some(before)) if !matches!(before.as_str(), "BOF" | "EOF") => Some((compile(&text.own(before))?, 0)),
        _ => None,
    };
    let mut found = Found::default();
    let mut exact_at = None;
    for (index, existing) in text.lines.iter().enumerate() {
        let bare = without_end(existing);
        let hit = match (&regex, &search) {
            (Some(regex), _) => is_match(regex, bare)?,
            (None, Some(search)) => existing.contains(search.as_str()),
            (None, None) => bare == line,
        };
        if hit {
            if found.line.is_none() || !own.firstmatch {
                found.line = Some(index);
            }
        } else if bare == line {
            exact_at = Some(index);
        }
        if let Some((anchor, offset)) = &anchor
            && (found.insert.is_none() || !own.firstmatch)
            && is_match(anchor, bare)?
        {
            found.insert = Some(index + offset);
        }
    }
    // As Ansible: where regexp matches nothing but the line is there already, nothing is inserted.
    if found.line.is_none() && exact_at.is_some() && !own.backrefs {
        found.line = exact_at;
        found.exact = true;
    }
    Ok(found)
}

fn place(own: &LineArgs, text: &mut Text) -> Result<String, Failure> {
    let found = find(own, text)?;
    let end =
        if text.lines.first().is_some_and(|line| line.ends_with("\r\n")) && text.bytewise { "\r\n" } else { "\n" };
    let line = text.own(own.line.as_deref().unwrap_or_default());
    let bare = without_end(&line).to_owned();
    if let Some(index) = found.line {
        if found.exact {
            return Ok(String::new());
        }
        let replacement = match (&own.regexp, own.backrefs) {
            (Some(regexp), true) => {
                let regex = compile(&text.own(regexp))?;
                let existing = without_end(&text.lines[index]).to_owned();
                match regex.captures(existing.as_str()).ok().flatten() {
                    Some(captures) => pattern::expand(&bare, &captures),
                    None => return Ok(String::new()),
                }
            }
            _ => bare,
        };
        let new = format!("{replacement}{end}");
        if text.lines[index] == new || without_end(&text.lines[index]) == replacement {
            return Ok(String::new());
        }
        text.lines[index] = new;
        return Ok("line replaced".to_owned());
    }
    if own.backrefs {
        return Ok(String::new()); // what does not match is left alone
    }
    let at = match (&found.insert, own.insertbefore.as_deref(), own.insertafter.as_deref()) {
        (Some(index), ..) => *index,
        (None, Some("BOF"), _) | (None, _, Some("BOF")) => 0,
        _ => text.lines.len(),
    };
    if at > 0
        && let Some(last) = text.lines.get_mut(at - 1)
        && !last.ends_with('\n')
    {
        last.push_str(end);
    }
    text.lines.insert(at, format!("{bare}{end}"));
    Ok("line added".to_owned())
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = LineArgs::read(args);
}

#[cfg(test)]
mod tests;
