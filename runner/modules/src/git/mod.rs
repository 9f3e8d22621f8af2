//! git: a working copy at a version, by the host's own git.

mod call;
mod version;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::{absolute, expand};
use call::Git;

pub(super) struct GitArgs {
    repo: String,
    dest: Option<PathBuf>,
    version: String,
    remote: String,
    refspec: Option<String>,
    reference: Option<String>,
    depth: Option<i64>,
    force: bool,
    clone: bool,
    update: bool,
    bare: bool,
    recursive: bool,
    single_branch: bool,
    track_submodules: bool,
    executable: Option<PathBuf>,
    key_file: Option<PathBuf>,
    ssh_opts: Option<String>,
    accept_hostkey: bool,
    accept_newhostkey: bool,
}

impl GitArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let own = Self {
            repo: args.text("repo").map(|repo| address(&repo)).unwrap_or_default(),
            dest: args.path("dest").map(|dest| absolute(&dest)),
            version: args.text("version").unwrap_or_else(|| "HEAD".to_owned()),
            remote: args.text("remote").unwrap_or_else(|| "origin".to_owned()),
            refspec: args.text("refspec"),
            reference: args.text("reference"),
            depth: args
                .value("depth")
                .is_some()
                .then(|| args.integer("depth", 0))
                .transpose()?
                .filter(|depth| *depth > 0),
            force: args.flag("force", false)?,
            clone: args.flag("clone", true)?,
            update: args.flag("update", true)?,
            bare: args.flag("bare", false)?,
            recursive: args.flag("recursive", true)?,
            single_branch: args.flag("single_branch", false)?,
            track_submodules: args.flag("track_submodules", false)?,
            executable: args.path("executable"),
            key_file: args.path("key_file"),
            ssh_opts: args.text("ssh_opts"),
            accept_hostkey: args.flag("accept_hostkey", false)?,
            accept_newhostkey: args.flag("accept_newhostkey", false)?,
        };
        if own.accept_hostkey && own.accept_newhostkey {
            return Err(Failure::new("parameters are mutually exclusive: accept_hostkey|accept_newhostkey"));
        }
        // git would take it for an option.
        let words = [("repo", &own.repo), ("version", &own.version), ("remote", &own.remote)];
        if let Some((name, value)) = words.into_iter().find(|(_, value)| value.starts_with('-')) {
            return Err(Failure::new(format!("{name}: '{value}' begins with a dash")));
        }
        if own.dest.is_none() && own.clone && args.asked().is_empty() {
            return Err(Failure::new("the destination directory must be specified unless clone=no"));
        }
        Ok(own)
    }

    /// Whether there is a repository at the destination.
    fn is_there(&self) -> bool {
        let Some(dest) = &self.dest else { return false };
        let folder = if self.bare { dest.clone() } else { dest.join(".git") };
        // Of a submodule and of a work tree it is a file that names the folder.
        let named = fs::read_to_string(&folder).ok();
        let named = named.and_then(|text| text.trim().strip_prefix("gitdir: ").map(|path| dest.join(path)));
        named.is_some_and(|folder| folder.is_dir()) || folder.join("config").is_file()
    }
}

/// A path as an address, for what git does with addresses only (`depth`).
fn address(repo: &str) -> String {
    let path = expand(repo);
    if path.starts_with('/') { format!("file://{path}") } else { repo.to_owned() }
}

/// # Errors
/// Local changes without `force`, and what git refuses.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = GitArgs::read(args)?;
    let git = Git::new(&own, context)?;
    let mut outcome = Outcome::new(false).with("before", Value::Null);
    if !own.is_there() {
        if context.check || !own.clone {
            let after = version::remote_head(&git, &own, &own.repo)?;
            return Ok(told(outcome.with("after", after), &git, context, true));
        }
        clone(&git, &own)?;
    } else {
        let before = git.text(&["rev-parse", "HEAD"])?;
        outcome.set("before", before.as_str());
        if !own.update {
            return Ok(outcome.with("after", before));
        }
        if let Some(done) = update(&git, &own, &mut outcome, context)? {
            return Ok(done);
        }
    }
    let mut changed = outcome.fields.get("changed") == Some(&Value::Bool(true));
    if !own.bare {
        version::switch(&git, &own)?;
        if own.recursive && submodules(&git, &own)? {
            outcome.set("submodules_changed", true);
            changed = true;
        }
    }
    let after = git.text(&["rev-parse", "HEAD"])?;
    changed |= outcome.fields.get("before") != Some(&Value::String(after.clone()));
    outcome.set("after", after);
    Ok(told(outcome, &git, context, changed))
}

/// The result's change and diff.
fn told(mut outcome: Outcome, git: &Git, context: &Context, changed: bool) -> Outcome {
    outcome.set("changed", changed);
    if changed && let Some(dest) = git.dest.filter(|_| !context.check) {
        outcome.artifacts.push(dest.to_path_buf());
    }
    if !(changed && context.diff) {
        return outcome;
    }
    let text = |name: &str| outcome.fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let (before, after) = (text("before"), text("after").unwrap_or_default());
    let prepared = match before {
        None => format!(">> Newly checked out {after}"),
        Some(before) if before == after => return outcome,
        Some(before) => match git.text(&["diff", &before, &after]) {
            Ok(text) if !text.is_empty() => text,
            Ok(_) => format!(">> No visual differences between {before} and {after}"),
            Err(_) => format!(">> Failed to get proper diff between {before} and {after}"),
        },
    };
    outcome.set("diff", json!({"prepared": prepared}));
    outcome
}

fn clone(git: &Git, own: &GitArgs) -> Result<(), Failure> {
    let dest = own.dest.clone().unwrap_or_default();
    if let Some(parent) = dest.parent() {
        fs::create_dir_all(parent)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", parent.display())))?;
    }
    let dest = dest.to_string_lossy().into_owned();
    let mut words = vec!["clone".to_owned()];
    if own.bare {
        words.push("--bare".to_owned());
    } else {
        words.extend(["--origin".to_owned(), own.remote.clone()]);
    }
    let named = version::find(git, own, &own.repo)?.is_named();
    let mut branch = false;
    // A commit cannot be cloned by itself: then everything is.
    if let Some(depth) = own.depth.filter(|_| own.version == "HEAD" || own.refspec.is_some() || named) {
        words.extend(["--depth".to_owned(), depth.to_string()]);
        branch = own.version != "HEAD" && own.refspec.is_none();
    }
    if let Some(reference) = &own.reference {
        words.extend(["--reference".to_owned(), reference.clone()]);
    }
    if own.single_branch {
        words.push("--single-branch".to_owned());
        branch |= named && own.version != "HEAD";
    }
    if branch {
        words.extend(["--branch".to_owned(), own.version.clone()]);
    }
    words.extend(["--".to_owned(), own.repo.clone(), dest]);
    git.outside(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    if own.bare && own.remote != "origin" {
        git.text(&["remote", "add", &own.remote, &own.repo])?;
    }
    if let Some(refspec) = &own.refspec {
        let depth = own.depth.map(|depth| format!("--depth={depth}"));
        let mut words = vec!["fetch"];
        words.extend(depth.as_deref());
        words.extend([own.remote.as_str(), refspec]);
        git.text(&words)?;
    }
    Ok(())
}

/// Brings in what is new. A result where nothing is left to do.
fn update(git: &Git, own: &GitArgs, outcome: &mut Outcome, context: &Context) -> Result<Option<Outcome>, Failure> {
    let dest = own.dest.as_deref().unwrap_or(Path::new(".")).display().to_string();
    let status = if own.bare { String::new() } else { git.text(&["status", "--porcelain"])? };
    if status.lines().any(|line| !line.starts_with("??")) {
        if !own.force {
            let words = format!("Local modifications exist in the destination: {dest} (force=no).");
            return Err(Failure::new(words).with("before", outcome.fields["before"].clone()));
        }
        outcome.set("changed", true);
        if !context.check {
            git.text(&["reset", "--hard", "HEAD"])?;
            outcome.set("msg", format!("Local modifications exist in the destination: {dest}"));
        }
    }
    let url = git.text(&["ls-remote", "--get-url", &own.remote])?;
    let moved = url.trim_end_matches('/') != own.repo.trim_end_matches('/');
    outcome.set("remote_url_changed", moved);
    if context.check {
        let after = version::remote_head(git, own, &own.repo)?;
        let differs = outcome.fields.get("before") != Some(&Value::String(after.clone()));
        let changed = differs || moved || outcome.fields["changed"] == Value::Bool(true);
        return Ok(Some(told(outcome.clone().with("after", after), git, context, changed)));
    }
    if moved {
        outcome.set("changed", true);
        git.text(&["remote", "set-url", &own.remote, &own.repo])?;
    }
    version::fetch(git, own)?;
    Ok(None)
}

/// Brings submodules to what their parent wants of them. True where that changed something.
fn submodules(git: &Git, own: &GitArgs) -> Result<bool, Failure> {
    if !own.dest.as_ref().is_some_and(|dest| dest.join(".gitmodules").is_file()) {
        return Ok(false);
    }
    let before = git.text(&["submodule", "status", "--recursive"])?;
    git.text(&["submodule", "sync", "--recursive"])?;
    let mut words = vec!["submodule", "update", "--init", "--recursive"];
    if own.track_submodules {
        words.push("--remote");
    }
    if own.force {
        words.push("--force");
    }
    git.text(&words)?;
    Ok(before != git.text(&["submodule", "status", "--recursive"])?)
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = GitArgs::read(args);
}

#[cfg(test)]
mod tests;
