//! group: groupadd, groupmod and groupdel, or addgroup and delgroup.

use super::{Call, Said, absent, account_name, id, is_busybox};
use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::users::{self, Group};

pub(super) struct GroupArgs {
    name: String,
    absent: bool,
    gid: Option<u32>,
    system: bool,
    non_unique: bool,
    force: bool,
    gid_min: Option<u32>,
    gid_max: Option<u32>,
}

impl GroupArgs {
    pub(super) fn read(args: &Args) -> Result<Self, Failure> {
        let own = Self {
            name: account_name(args)?,
            absent: absent(args),
            gid: id(args, "gid")?,
            system: args.flag("system", false)?,
            non_unique: args.flag("non_unique", false)?,
            force: args.flag("force", false)?,
            gid_min: id(args, "gid_min")?,
            gid_max: id(args, "gid_max")?,
        };
        if own.non_unique && own.gid.is_none() {
            return Err(Failure::new("non_unique is True but all of the following are missing: gid"));
        }
        Ok(own)
    }

    fn add(&self) -> Result<Call, Failure> {
        let busybox = is_busybox();
        let mut call = Call::new(if busybox { "addgroup" } else { "groupadd" });
        call.option("-g", self.gid.map(|gid| gid.to_string()).as_deref());
        if busybox {
            if self.non_unique || self.gid_min.is_some() || self.gid_max.is_some() {
                return Err(Failure::new("addgroup of this host knows no non_unique, gid_min and gid_max"));
            }
            call.flag("-S", self.system);
            return Ok(call.words([&self.name]));
        }
        call.flag("-o", self.non_unique);
        call.flag("-r", self.system);
        for (name, bound) in [("GID_MIN", self.gid_min), ("GID_MAX", self.gid_max)] {
            call.option("-K", bound.map(|bound| format!("{name}={bound}")).as_deref());
        }
        Ok(call.words([&self.name]))
    }

    /// What gives the group the id it shall have. None where it has it.
    fn modify(&self, now: &Group) -> Result<Option<Call>, Failure> {
        let Some(gid) = self.gid.filter(|gid| *gid != now.gid) else { return Ok(None) };
        if is_busybox() {
            let words = format!("this host has no groupmod (package shadow): {} keeps the gid {}", self.name, now.gid);
            return Err(Failure::new(words).with("name", self.name.as_str()));
        }
        let mut call = Call::new("groupmod").words(["-g", &gid.to_string()]);
        call.flag("-o", self.non_unique);
        Ok(Some(call.words([&self.name])))
    }

    fn delete(&self) -> Call {
        if is_busybox() {
            return Call::new("delgroup").words([&self.name]);
        }
        let mut call = Call::new("groupdel");
        call.flag("-f", self.force);
        call.words([&self.name])
    }
}

/// # Errors
/// What the programs refuse.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = GroupArgs::read(args)?;
    let mut said = Said::default();
    match (users::group_by_name(&own.name), own.absent) {
        (None, true) => {}
        (Some(_), true) => said.change(&own.name, &own.delete(), context)?,
        (None, false) => said.change(&own.name, &own.add()?, context)?,
        (Some(now), false) => {
            if let Some(call) = own.modify(&now)? {
                said.change(&own.name, &call, context)?;
            }
        }
    }
    let mut outcome =
        Outcome::default().with("name", own.name.as_str()).with("state", if own.absent { "absent" } else { "present" });
    said.tell(&mut outcome);
    if let Some(now) = users::group_by_name(&own.name) {
        outcome.set("system", own.system);
        outcome.set("gid", now.gid);
    }
    Ok(outcome)
}
