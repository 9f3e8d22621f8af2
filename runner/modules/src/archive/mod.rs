//! archive, of community.general: files and trees of the host in one file. The same sources make the same bytes, so
//! what is there is left alone where it holds them already.

mod pack;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::Pattern;
use serde_json::Value;

use crate::args::Args;
use crate::attributes::{Attributes, add_path_info};
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::{Staged, absolute, expand};
use crate::replace::Writing;
use pack::{Entry, Format};

struct ArchiveArgs {
    paths: Vec<String>,
    format: Format,
    suffix: String,
    dest: Option<PathBuf>,
    exclude: Vec<String>,
    patterns: Vec<Pattern>,
    force_archive: bool,
    remove: bool,
    writing: Writing,
}

impl ArchiveArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let expanded = |name: &str| -> Vec<String> {
            args.list(name).unwrap_or_default().iter().map(|path| expand(path)).collect()
        };
        let suffix = args.text("format").unwrap_or_else(|| "gz".to_owned());
        let patterns = expanded("exclusion_patterns");
        let patterns: Result<Vec<Pattern>, _> = patterns.iter().map(|text| Pattern::new(text)).collect();
        Ok(Self {
            paths: expanded("path"),
            format: Format::named(&suffix),
            suffix,
            dest: args.path("dest"),
            exclude: expanded("exclude_path"),
            patterns: patterns.map_err(|error| Failure::new(format!("exclusion_patterns: {error}")))?,
            force_archive: args.flag("force_archive", false)?,
            remove: args.flag("remove", false)?,
            writing: Writing { attributes: Attributes::read(args)?, backup: false, validate: None },
        })
    }
}

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?'])
}

fn expand_globs(paths: &[String]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if is_glob(path) {
            let matches = glob::glob(path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
            found.extend(matches.flatten().map(|path| path.to_string_lossy().into_owned()));
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// What the paths have in common, up to a folder: names in the archive begin after it.
fn common_root(paths: &[String]) -> String {
    let folders: Vec<String> = paths.iter().map(|path| path[..=path.rfind('/').unwrap_or(0)].to_owned()).collect();
    let Some(first) = folders.first() else { return String::new() };
    let mut length = first.len();
    for folder in &folders {
        length = first.bytes().zip(folder.bytes()).take(length).take_while(|(a, b)| a == b).count();
    }
    first.get(..length).and_then(|common| common.rfind('/').map(|end| common[..=end].to_owned())).unwrap_or_default()
}

/// The task, with its paths expanded.
struct Plan {
    expanded: Vec<String>,
    excluded: Vec<String>,
    /// Of the paths, sorted: those that there are, and those that there are not.
    targets: Vec<String>,
    missing: Vec<String>,
    root: String,
    /// Several files in one, or one that is compressed alone.
    is_archive: bool,
    dest: PathBuf,
}

impl Plan {
    fn of(own: &ArchiveArgs) -> Result<Self, Failure> {
        let (expanded, excluded) = (expand_globs(&own.paths)?, expand_globs(&own.exclude)?);
        let paths: BTreeSet<String> = expanded.iter().filter(|path| !excluded.contains(path)).cloned().collect();
        let paths: Vec<String> = paths.into_iter().collect();
        let Some(first) = paths.first() else {
            return Err(Failure::new("Error, no source paths were found").with("path", own.paths.join(", ")));
        };
        let several = own.paths.iter().any(|path| is_glob(path)) || paths.len() > 1 || Path::new(first).is_dir();
        let is_archive = own.force_archive || several;
        let dest = match &own.dest {
            Some(dest) => dest.clone(),
            None if is_archive => {
                return Err(Failure::new("Error, must specify \"dest\" when archiving multiple files or trees"));
            }
            None => PathBuf::from(format!("{first}.{}", own.suffix)),
        };
        if own.remove
            && paths
                .iter()
                .any(|path| Path::new(path).is_dir() && absolute(&dest).starts_with(absolute(Path::new(path))))
        {
            return Err(Failure::new("Error, created archive can not be contained in source paths when remove=true"));
        }
        let root = common_root(&paths);
        let (targets, missing) = paths.into_iter().partition(|path| fs::symlink_metadata(path).is_ok());
        Ok(Self { expanded, excluded, targets, missing, root, is_archive, dest })
    }

    /// What goes into the archive: of a folder all that lies below it.
    fn entries(&self, own: &ArchiveArgs) -> Result<Vec<Entry>, Failure> {
        let mut found = Vec::new();
        for target in &self.targets {
            let path = Path::new(target);
            let walked =
                if path.is_dir() { walk(path, &mut found) } else { Entry::of(path).map(|entry| found.push(entry)) };
            walked.map_err(|error| Failure::new(format!("Errors when reading {target}: {error}")))?;
        }
        for entry in &mut found {
            let whole = entry.path.to_string_lossy().into_owned();
            entry.name = whole.strip_prefix(&self.root).unwrap_or(&whole).trim_start_matches('/').to_owned();
        }
        // As community.general: by the whole path for a zip, by the name in the archive for the others.
        let excluded = |entry: &Entry| {
            let text =
                if own.format == Format::Zip { entry.path.to_string_lossy().into_owned() } else { entry.name.clone() };
            own.patterns.iter().any(|pattern| pattern.matches(&text))
        };
        let dest = absolute(&self.dest);
        found.retain(|entry| !excluded(entry) && absolute(&entry.path) != dest);
        Ok(found)
    }
}

/// Folders before files, each by name, so that the same tree is always the same archive.
fn walk(folder: &Path, found: &mut Vec<Entry>) -> io::Result<()> {
    let entries: io::Result<Vec<Entry>> = fs::read_dir(folder)?.map(|entry| Entry::of(&entry?.path())).collect();
    let mut entries = entries?;
    entries.sort_by(|a, b| (!a.is_folder(), &a.path).cmp(&(!b.is_folder(), &b.path)));
    let folders: Vec<PathBuf> =
        entries.iter().filter(|entry| entry.is_folder()).map(|entry| entry.path.clone()).collect();
    found.extend(entries);
    folders.iter().try_for_each(|folder| walk(folder, found))
}

/// # Errors
/// No sources, what cannot be read or written.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = ArchiveArgs::read(args)?;
    let plan = Plan::of(&own)?;
    let dest = &plan.dest;
    let mut outcome = Outcome::new(false)
        .with("dest", dest.to_string_lossy().into_owned())
        .with("arcroot", plan.root.as_str())
        .with("missing", plan.missing.clone())
        .with("expanded_paths", plan.expanded.clone())
        .with("expanded_exclude_paths", plan.excluded.clone());
    let mut changed = false;
    if plan.targets.is_empty() {
        outcome.set("dest_state", state_of(dest));
        outcome.set("archived", Value::Array(Vec::new()));
    } else {
        changed = pack(&own, &plan, &mut outcome, context)?;
        if own.remove && !context.check {
            remove(&plan.targets)?;
        }
        changed |= own.remove;
    }
    if dest.exists() {
        changed |= own.writing.attributes.apply(dest, context.check)?;
    }
    outcome.set("changed", changed);
    add_path_info(&mut outcome, dest);
    Ok(outcome)
}

fn state_of(dest: &Path) -> &'static str {
    const ENDS: [&str; 9] = [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".tbz2", ".tzst", ".zip"];
    let name = dest.to_string_lossy().to_ascii_lowercase();
    match dest.exists() {
        false => "absent",
        true if ENDS.iter().any(|end| name.ends_with(end)) => "archive",
        true => "compress",
    }
}

/// True where the archive was not there as it is now.
fn pack(own: &ArchiveArgs, plan: &Plan, outcome: &mut Outcome, context: &Context) -> Result<bool, Failure> {
    let dest = &plan.dest;
    let failed = |error: io::Error| Failure::new(format!("Error when writing archive at {}: {error}", dest.display()));
    // A dry run writes nothing beside the target, either.
    let beside = if context.check { std::env::temp_dir().join("archive") } else { dest.clone() };
    let staged = Staged::write(&beside, b"").map_err(failed)?;
    let alone = !plan.is_archive && !matches!(own.format, Format::Zip | Format::Tar);
    let archived: Vec<Value> = if alone {
        pack::compress(own.format, Path::new(&plan.targets[0]), &staged, context)?;
        vec![plan.targets[0].as_str().into()]
    } else {
        let entries = plan.entries(own)?;
        pack::archive(own.format, &entries, &staged, context)?;
        entries.iter().map(|entry| entry.path.to_string_lossy().into_owned().into()).collect()
    };
    outcome.set("archived", archived);
    let state = if alone { "compress" } else { "archive" };
    outcome.set("dest_state", if plan.missing.is_empty() { state } else { "incomplete" });
    let differs = !same(staged.path(), dest).map_err(failed)?;
    if differs && !context.check {
        own.writing.put(staged, dest, context)?;
        outcome.artifacts.push(absolute(dest));
    }
    Ok(differs)
}

fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (Ok(left), Ok(right)) = (fs::metadata(one), fs::metadata(other)) else { return Ok(false) };
    if left.len() != right.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut rest = one.metadata()?.len();
    while rest > 0 {
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(left.len());
        one.read_exact(&mut left[..count])?;
        other.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
        rest -= count as u64;
    }
    Ok(true)
}

fn remove(targets: &[String]) -> Result<(), Failure> {
    for target in targets {
        let path = Path::new(target);
        let is_folder = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(|error| Failure::new(format!("Error deleting the source {target}: {error}")))?;
    }
    Ok(())
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = ArchiveArgs::read(args);
}

#[cfg(test)]
mod tests;
