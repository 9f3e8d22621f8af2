//! A user's own SSH key: ssh-keygen(1).

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{Call, number};
use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, Outcome};
use crate::users::User;

pub(super) struct KeyArgs {
    wanted: bool,
    bits: i64,
    kind: String,
    file: Option<PathBuf>,
    comment: Option<String>,
}

impl KeyArgs {
    pub(super) fn read(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            wanted: args.flag("generate_ssh_key", false)?,
            bits: number(args, "ssh_key_bits")?.unwrap_or(0),
            kind: args.text("ssh_key_type").unwrap_or_else(|| "rsa".to_owned()),
            file: args.path("ssh_key_file"),
            comment: args.text("ssh_key_comment"),
        })
    }

    /// Makes the key where it is wanted and missing (or `force` is on), and tells of it. True when one was made.
    pub(super) fn make(
        &self,
        user: &User,
        force: bool,
        outcome: &mut Outcome,
        context: &Context,
    ) -> Result<bool, Failure> {
        if !self.wanted {
            return Ok(false);
        }
        let default = Path::new(".ssh").join(format!("id_{}", self.kind));
        let key = Path::new(&user.home).join(self.file.as_deref().unwrap_or(&default));
        let public = PathBuf::from(format!("{}.pub", key.display()));
        let made = force || !(key.exists() || public.exists());
        if made && !context.check {
            self.generate(&key, &public, user, context)?;
            outcome.artifacts.extend([key.clone(), public.clone()]);
        }
        if key.exists() {
            let shown = Call::new("ssh-keygen").words(["-l", "-f", &key.to_string_lossy()]).run(context)?;
            let print = if shown.rc == 0 { shown.out() } else { shown.err() };
            outcome.set("ssh_fingerprint", print.trim());
            outcome.set("ssh_public_key", fs::read_to_string(&public).ok().map(|text| text.trim().to_owned()));
        }
        outcome.set("ssh_key_file", key.to_string_lossy().into_owned());
        Ok(made)
    }

    fn generate(&self, key: &Path, public: &Path, user: &User, context: &Context) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new(format!("cannot make the key {}: {error}", key.display()));
        let give = |path: &Path| std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).map_err(failed);
        if let Some(folder) = key.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
            give(folder)?;
        }
        for old in [key, public] {
            if old.symlink_metadata().is_ok() {
                fs::remove_file(old).map_err(failed)?; // ssh-keygen would ask
            }
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let comment = self.comment.clone().unwrap_or_else(|| format!("ansible-generated on {}", host.trim()));
        let mut call = Call::new("ssh-keygen").words(["-q", "-t", &self.kind]);
        call.option("-b", (self.bits > 0).then(|| self.bits.to_string()).as_deref());
        let done = call.words(["-C", &comment, "-N", "", "-f", &key.to_string_lossy()]).run(context)?;
        if done.rc != 0 {
            return Err(Failure::new(done.err().trim()).with("rc", done.rc));
        }
        give(key)?;
        give(public)
    }
}
