//! Versions: what a name is on the other side, and how a working copy gets there.

use super::GitArgs;
use super::call::Git;
use crate::outcome::Failure;

/// What a version is there.
pub(super) enum Found {
    Head,
    Branch(String),
    Tag(String),
    /// A commit, or nothing.
    Other,
}

impl Found {
    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Branch(_) | Self::Tag(_))
    }
}

pub(super) fn find(git: &Git, own: &GitArgs, place: &str) -> Result<Found, Failure> {
    if own.version == "HEAD" {
        return Ok(Found::Head);
    }
    let (branch, tag) = (format!("refs/heads/{}", own.version), format!("refs/tags/{}", own.version));
    let peeled = format!("{tag}^{{}}");
    let listed = git.outside(&["ls-remote", place, &branch, &tag, &peeled])?;
    let id = |name: &str| {
        let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, own)| *own == name).map(|(id, _)| id.to_owned())
    };
    // Of an annotated tag the commit it stands for.
    let tag = id(&peeled).or_else(|| id(&tag));
    Ok(id(&branch).map(Found::Branch).or_else(|| tag.map(Found::Tag)).unwrap_or(Found::Other))
}

/// The commit that the version is on the other side.
pub(super) fn remote_head(git: &Git, own: &GitArgs, place: &str) -> Result<String, Failure> {
    match find(git, own, place)? {
        Found::Branch(id) | Found::Tag(id) => Ok(id),
        Found::Other => Ok(own.version.clone()),
        Found::Head => {
            let name =
                if own.is_there() { format!("refs/heads/{}", head_branch(git, own)?) } else { "HEAD".to_owned() };
            let listed = git.outside(&["ls-remote", place, &name])?;
            let id = listed.split_whitespace().next().map(str::to_owned);
            id.ok_or_else(|| Failure::new(format!("Could not determine remote revision for {}", own.version)))
        }
    }
}

/// The branch that is checked out; of a detached head the one that the other side's is on.
fn head_branch(git: &Git, own: &GitArgs) -> Result<String, Failure> {
    if git.succeeds(&["symbolic-ref", "-q", "HEAD"])? {
        return git.text(&["symbolic-ref", "--short", "HEAD"]);
    }
    let whole = git.text(&["symbolic-ref", "--short", &format!("refs/remotes/{}/HEAD", own.remote)])?;
    Ok(whole.strip_prefix(&format!("{}/", own.remote)).unwrap_or(&whole).to_owned())
}

pub(super) fn fetch(git: &Git, own: &GitArgs) -> Result<(), Failure> {
    let mut words = vec!["fetch".to_owned()];
    let mut wanted = Vec::new();
    if let Some(depth) = own.depth.filter(|_| !own.bare) {
        wanted = shallow(git, own)?;
        if !wanted.is_empty() {
            words.push(format!("--depth={depth}"));
        }
    }
    if wanted.is_empty() {
        if own.bare {
            wanted.extend(["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()]);
        } else {
            words.push("--tags".to_owned());
        }
        wanted.extend(own.refspec.clone());
    }
    if own.force {
        words.push("--force".to_owned());
    }
    words.push(own.remote.clone());
    words.extend(wanted);
    git.text(&words.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
}

/// The least that brings a version here; nothing where only everything does.
fn shallow(git: &Git, own: &GitArgs) -> Result<Vec<String>, Failure> {
    if let Some(refspec) = &own.refspec {
        return Ok(vec![refspec.clone()]);
    }
    let (version, remote) = (&own.version, &own.remote);
    let tracked = |branch: &str| format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}");
    Ok(match find(git, own, &own.repo)? {
        Found::Head => vec![tracked(&head_branch(git, own)?)],
        Found::Branch(_) => vec![tracked(version)],
        Found::Tag(_) => vec![format!("+refs/tags/{version}:refs/tags/{version}")],
        Found::Other => Vec::new(),
    })
}

/// Checks the version out, as the other side has it.
pub(super) fn switch(git: &Git, own: &GitArgs) -> Result<(), Failure> {
    let branch = match find(git, own, &own.repo)? {
        Found::Head => head_branch(git, own)?,
        Found::Branch(_) => own.version.clone(),
        Found::Tag(_) | Found::Other => {
            return git.text(&["checkout", "--force", &own.version, "--"]).map(drop);
        }
    };
    let tracked = format!("{}/{branch}", own.remote);
    if own.depth.is_some() && !git.succeeds(&["rev-parse", "-q", "--verify", &format!("refs/remotes/{tracked}")])? {
        fetch(git, own)?; // a shallow clone follows one branch alone
    }
    if git.succeeds(&["show-ref", "-q", "--verify", &format!("refs/heads/{branch}")])? {
        git.text(&["checkout", "--force", &branch, "--"])?;
        return git.text(&["reset", "--hard", &tracked, "--"]).map(drop);
    }
    // What a shallow clone does not follow cannot be set up to be tracked.
    let track = if own.depth.is_some() { "--no-track" } else { "--track" };
    git.text(&["checkout", track, "-b", &branch, &tracked]).map(drop)
}
