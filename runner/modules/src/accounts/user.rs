//! user: one account, made, changed or removed.

use std::path::Path;

use serde_json::{Value, json};

use super::ssh_key::KeyArgs;
use super::{Call, Said, absent, account_name, busybox, home, id, is_busybox, number, shadow, shadow_tools};
use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::users::{self, Group, User};

pub(super) struct UserArgs {
    pub name: String,
    absent: bool,
    pub uid: Option<u32>,
    pub non_unique: bool,
    pub group: Option<String>,
    pub groups: Option<Vec<String>>,
    pub append: bool,
    pub comment: Option<String>,
    pub home: Option<String>,
    pub create_home: bool,
    pub move_home: bool,
    pub skeleton: Option<String>,
    pub umask: Option<String>,
    pub shell: Option<String>,
    pub password: Option<String>,
    pub password_always: bool,
    pub password_lock: Option<bool>,
    pub expires: Option<i64>,
    pub inactive: Option<i64>,
    expire_min: Option<i64>,
    expire_max: Option<i64>,
    expire_warn: Option<i64>,
    pub seuser: Option<String>,
    pub system: bool,
    pub uid_min: Option<u32>,
    pub uid_max: Option<u32>,
    pub force: bool,
    pub remove: bool,
    key: KeyArgs,
}

impl UserArgs {
    pub(super) fn read(args: &Args) -> Result<Self, Failure> {
        let path = |name: &str| args.path(name).map(|path| path.to_string_lossy().into_owned());
        let own = Self {
            name: account_name(args)?,
            absent: absent(args),
            uid: id(args, "uid")?,
            non_unique: args.flag("non_unique", false)?,
            group: args.text("group"),
            groups: args.list("groups").map(|groups| groups.into_iter().filter(|group| !group.is_empty()).collect()),
            append: args.flag("append", false)?,
            comment: args.text("comment"),
            home: path("home"),
            create_home: args.flag("create_home", true)?,
            move_home: args.flag("move_home", false)?,
            skeleton: args.text("skeleton"),
            umask: args.text("umask"),
            shell: path("shell"),
            password: args.text("password"),
            password_always: args.text("update_password").as_deref() != Some("on_create"),
            password_lock: args.optional_flag("password_lock")?,
            expires: expires(args)?,
            inactive: number(args, "password_expire_account_disable")?,
            expire_min: number(args, "password_expire_min")?,
            expire_max: number(args, "password_expire_max")?,
            expire_warn: number(args, "password_expire_warn")?,
            seuser: args.text("seuser"),
            system: args.flag("system", false)?,
            uid_min: id(args, "uid_min")?,
            uid_max: id(args, "uid_max")?,
            force: args.flag("force", false)?,
            remove: args.flag("remove", false)?,
            key: KeyArgs::read(args)?,
        };
        let lines = [&own.comment, &own.home, &own.shell, &own.password];
        if lines.into_iter().flatten().any(|text| text.contains(['\n', ':'])) {
            return Err(Failure::new("comment, home, shell and password may hold no ':' and no line break"));
        }
        Ok(own)
    }

    /// The groups of `groups`, each of which must exist.
    pub(super) fn named_groups(&self) -> Result<Vec<Group>, Failure> {
        self.groups.iter().flatten().map(|name| group(name)).collect()
    }

    fn remove_call(&self) -> Call {
        if is_busybox() {
            return busybox::remove(self);
        }
        let mut call = Call::new("userdel");
        call.flag("-f", self.force);
        call.flag("-r", self.remove);
        call.words([&self.name])
    }

    /// What chage(1) has to set. None where all is as wanted.
    fn ageing(&self) -> Option<Call> {
        let now = shadow::of(&self.name);
        let mut call = Call::new("chage");
        let wanted =
            [("-m", self.expire_min, now.min), ("-M", self.expire_max, now.max), ("-W", self.expire_warn, now.warn)];
        for (flag, days, now) in wanted {
            call.option(flag, days.filter(|days| *days != now).map(|days| days.to_string()).as_deref());
        }
        call.asks().then(|| call.words([&self.name]))
    }
}

/// Seconds since the epoch; Ansible takes fractions, and what is negative means never.
fn expires(args: &Args) -> Result<Option<i64>, Failure> {
    let Some(text) = args.text("expires") else { return Ok(None) };
    let seconds: f64 =
        text.trim().parse().map_err(|_| Failure::new(format!("argument expires: '{text}' is no number of seconds")))?;
    #[allow(clippy::cast_possible_truncation)] // saturates, and no date is that far
    Ok(Some(seconds.floor() as i64))
}

/// A group by its number or its name.
pub(super) fn group(name: &str) -> Result<Group, Failure> {
    let by_number = name.parse().ok().and_then(users::group_by_gid);
    by_number.or_else(|| users::group_by_name(name)).ok_or_else(|| Failure::new(format!("Group {name} does not exist")))
}

/// # Errors
/// What the programs refuse, an unknown group.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = UserArgs::read(args)?;
    let mut said = Said { hidden: own.password.clone(), ..Said::default() };
    let mut outcome =
        Outcome::default().with("name", own.name.as_str()).with("state", if own.absent { "absent" } else { "present" });
    if own.absent {
        if users::by_name(&own.name).is_some() {
            said.change(&own.name, &own.remove_call(), context)?;
            outcome.set("force", own.force);
            outcome.set("remove", own.remove);
        }
        said.tell(&mut outcome);
        return Ok(outcome);
    }
    bring_about(&own, &mut said, &mut outcome, context)?;
    if let Some(password) = &own.password {
        outcome.set("password", "NOT_LOGGING_PASSWORD");
        if !is_hash(password) {
            let words = "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly.";
            outcome.set("warnings", json!([words]));
        }
    }
    said.tell(&mut outcome);
    if let Some(user) = users::by_name(&own.name) {
        finish(&own, &user, &mut outcome, context)?;
    }
    Ok(outcome)
}

fn bring_about(own: &UserArgs, said: &mut Said, outcome: &mut Outcome, context: &Context) -> Result<(), Failure> {
    let Some(user) = users::by_name(&own.name) else {
        if let Some(home) = own.home.as_deref().filter(|_| own.create_home && !context.check)
            && let Some(parent) = Path::new(home).parent()
        {
            // useradd makes the home itself alone.
            std::fs::create_dir_all(parent)
                .map_err(|error| Failure::new(format!("cannot make {}: {error}", parent.display())))?;
        }
        if is_busybox() {
            busybox::create(own, said, context)?;
        } else {
            said.change(&own.name, &shadow_tools::create(own)?, context)?;
        }
        outcome.set("system", own.system);
        outcome.set("create_home", own.create_home);
        return Ok(());
    };
    if is_busybox() {
        busybox::modify(own, &user, said, context)?;
    } else if let Some(call) = shadow_tools::modify(own, &user)? {
        said.change(&own.name, &call, context)?;
    }
    outcome.set("append", own.append);
    outcome.set("move_home", own.move_home);
    Ok(())
}

/// What is looked after once the account is there: its facts, its home, its key, its ageing.
fn finish(own: &UserArgs, user: &User, outcome: &mut Outcome, context: &Context) -> Result<(), Failure> {
    outcome.set("uid", user.uid);
    outcome.set("group", user.gid);
    outcome.set("comment", user.gecos.as_str());
    outcome.set("home", user.home.as_str());
    outcome.set("shell", user.shell.as_str());
    if let Some(groups) = &own.groups {
        outcome.set("groups", groups.join(","));
    }
    let mut changed = outcome.fields.get("changed") == Some(&Value::Bool(true));
    let wanted = User { home: own.home.clone().unwrap_or_else(|| user.home.clone()), ..user.clone() };
    if own.create_home && !Path::new(&wanted.home).exists() {
        changed = true;
        if !context.check {
            home::make(&wanted, own.skeleton.as_deref())?;
            outcome.artifacts.push(wanted.home.clone().into());
        }
    }
    changed |= own.key.make(user, own.force, outcome, context)?;
    if let Some(call) = own.ageing() {
        changed = true;
        Said::default().change(&own.name, &call, context)?;
    }
    outcome.set("changed", changed);
    Ok(())
}

/// Whether a password looks like what crypt(3) makes, or like one that nobody can log in with.
pub(super) fn is_hash(password: &str) -> bool {
    if matches!(password, "*" | "!" | "*************") {
        return true;
    }
    let fields: Vec<&str> = password.split('$').collect();
    let Some(sum) = fields.last().filter(|_| fields.len() >= 3) else { return false };
    let length = match fields[1] {
        "1" => 22,
        "5" | "y" => 43,
        "6" => 86,
        _ => sum.len(),
    };
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '/');
    sum.len() == length && sum.chars().all(legal) && !password.contains(['*', '!', ':'])
}
