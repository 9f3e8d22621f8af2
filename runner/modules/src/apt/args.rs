//! What the module is asked for, and what it becomes on apt-get's command line.

use std::path::PathBuf;

use crate::args::Args;
use crate::outcome::Failure;

pub(super) struct AptArgs {
    pub(super) packages: Vec<String>,
    pub(super) state: State,
    pub(super) deb: Option<PathBuf>,
    pub(super) update_cache: bool,
    pub(super) cache_valid_time: i64,
    pub(super) install_recommends: Option<bool>,
    pub(super) purge: bool,
    pub(super) autoremove: bool,
    pub(super) autoclean: bool,
    pub(super) clean: bool,
    pub(super) upgrade: Option<String>,
    pub(super) only_upgrade: bool,
    pub(super) default_release: Option<String>,
    pub(super) dpkg_options: Vec<String>,
    pub(super) allow_unauthenticated: bool,
    pub(super) allow_downgrade: bool,
    pub(super) allow_change_held_packages: bool,
    pub(super) lock_timeout: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Present,
    Absent,
    Latest,
}

impl AptArgs {
    pub(super) fn read(args: &Args) -> Result<Self, Failure> {
        args.flag("force_apt_get", false)?; // aptitude is never used
        let names = args.list("name").unwrap_or_default();
        let cache_valid_time = args.integer("cache_valid_time", 0)?;
        let own = Self {
            packages: names.into_iter().filter(|name| !name.is_empty()).collect(),
            state: match args.text("state").as_deref() {
                Some("absent" | "removed") => State::Absent,
                Some("latest") => State::Latest,
                _ => State::Present,
            },
            deb: args.path("deb"),
            update_cache: args.flag("update_cache", false)? || cache_valid_time > 0,
            cache_valid_time,
            install_recommends: args.optional_flag("install_recommends")?,
            purge: args.flag("purge", false)?,
            autoremove: args.flag("autoremove", false)?,
            autoclean: args.flag("autoclean", false)?,
            clean: args.flag("clean", false)?,
            upgrade: args.text("upgrade").map(|word| yes_or_no(&word).to_owned()).filter(|word| word != "no"),
            only_upgrade: args.flag("only_upgrade", false)?,
            default_release: args.text("default_release"),
            dpkg_options: args
                .list("dpkg_options")
                .unwrap_or_else(|| vec!["force-confdef".into(), "force-confold".into()]),
            allow_unauthenticated: args.flag("allow_unauthenticated", false)?,
            allow_downgrade: args.flag("allow_downgrade", false)?,
            allow_change_held_packages: args.flag("allow_change_held_packages", false)?,
            lock_timeout: args.integer("lock_timeout", 60)?,
        };
        own.check(args).map(|()| own)
    }

    fn check(&self, args: &Args) -> Result<(), Failure> {
        let named = !self.packages.is_empty();
        if [named, self.deb.is_some(), self.upgrade.is_some()].into_iter().filter(|given| *given).count() > 1 {
            return Err(Failure::new("parameters are mutually exclusive: deb|package|upgrade"));
        }
        if let Some(name) = self.packages.iter().find(|name| is_pattern(name)) {
            return Err(Failure::new(format!(
                "package name '{name}': give names, name=version or name/release; patterns are not honoured"
            )));
        }
        if let Some(name) = self.packages.iter().find(|name| name.starts_with('-')) {
            return Err(Failure::new(format!("'{name}' is no package name")));
        }
        let other = self.update_cache
            || self.autoremove
            || self.autoclean
            || self.clean
            || self.deb.is_some()
            || self.upgrade.is_some();
        // An empty list of names is nothing to do; no name at all is a mistake.
        if !named && !other && args.value("name").is_none() && args.asked().is_empty() {
            return Err(Failure::new(
                "one of the following is required: autoremove, deb, package, update_cache, upgrade",
            ));
        }
        Ok(())
    }

    /// The options that every changing call has.
    pub(super) fn options(&self) -> Vec<String> {
        let mut options = vec!["-q".to_owned(), "-y".to_owned()];
        for option in &self.dpkg_options {
            options.extend(["-o".to_owned(), format!("Dpkg::Options::=--{}", option.trim_start_matches('-'))]);
        }
        options.extend(["-o".to_owned(), format!("DPkg::Lock::Timeout={}", self.lock_timeout)]);
        if let Some(recommends) = self.install_recommends {
            options.extend([
                "-o".to_owned(),
                format!("APT::Install-Recommends={}", if recommends { "yes" } else { "no" }),
            ]);
        }
        let flags = [
            (self.allow_unauthenticated, "--allow-unauthenticated"),
            (self.allow_downgrade, "--allow-downgrades"),
            (self.allow_change_held_packages, "--allow-change-held-packages"),
            (self.only_upgrade, "--only-upgrade"),
            (self.autoremove, "--auto-remove"),
        ];
        options.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned()));
        if let Some(release) = &self.default_release {
            options.extend(["-t".to_owned(), release.clone()]);
        }
        options
    }
}

/// A version may be a pattern, as for apt-get itself; a name may not.
fn is_pattern(package: &str) -> bool {
    let (name, version) = package.split_once('=').unwrap_or((package, ""));
    name.contains(['*', '?', ' ', '>', '<']) || version.contains(' ')
}

fn yes_or_no(word: &str) -> &str {
    match word {
        "True" | "true" => "yes",
        "False" | "false" => "no",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(args: Value) -> Result<AptArgs, Failure> {
        AptArgs::read(&Args::new("apt", args.as_object().unwrap().clone())?)
    }

    #[test]
    fn arguments_become_options() {
        let own = read(json!({
            "name": "a,b", "install_recommends": false, "default_release": "bookworm-backports",
            "allow_downgrade": true, "dpkg_options": "force-confnew", "lock_timeout": 5, "autoremove": "yes",
        }))
        .unwrap();
        let wanted = "-q -y -o Dpkg::Options::=--force-confnew -o DPkg::Lock::Timeout=5 -o APT::Install-Recommends=no \
                      --allow-downgrades --auto-remove -t bookworm-backports";
        assert_eq!(own.options().join(" "), wanted);
        assert_eq!(own.packages, ["a", "b"]);
        assert!(read(json!({"cache_valid_time": 3600})).unwrap().update_cache);
        assert_eq!(read(json!({"upgrade": true})).unwrap().upgrade.as_deref(), Some("yes"));
        assert_eq!(read(json!({"name": "x", "upgrade": "no"})).unwrap().upgrade, None);
        assert!(read(json!({"name": []})).unwrap().packages.is_empty());
        assert_eq!(read(json!({"name": "a=1.*"})).unwrap().packages, ["a=1.*"]);
    }

    #[test]
    fn contradictions() {
        for args in [
            json!({}),
            json!({"name": "a", "upgrade": "dist"}),
            json!({"name": "a*"}),
            json!({"name": "-o"}),
            json!({"name": "a", "deb": "/x.deb"}),
            json!({"name": "a", "state": "gone"}),
        ] {
            assert!(read(args.clone()).is_err(), "{args}");
        }
    }
}
