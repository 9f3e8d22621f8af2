//! adduser and its like: they make accounts, and can change only some of what one has.

use super::user::{UserArgs, group};
use super::{Call, Said, shadow, shadow_tools};
use crate::context::Context;
use crate::outcome::Failure;
use crate::users::{self, User};

pub(super) fn create(own: &UserArgs, said: &mut Said, context: &Context) -> Result<(), Failure> {
    let lacking = [
        ("non_unique", own.non_unique),
        ("seuser", own.seuser.is_some()),
        ("umask", own.umask.is_some()),
        ("expires", own.expires.is_some()),
        ("password_expire_account_disable", own.inactive.is_some()),
        ("uid_min", own.uid_min.is_some()),
        ("uid_max", own.uid_max.is_some()),
    ];
    refuse(own, &lacking)?;
    let mut call = Call::new("adduser").words(["-D"]);
    call.option("-u", own.uid.map(|uid| uid.to_string()).as_deref());
    if let Some(name) = &own.group {
        call.add(["-G", &group(name)?.name]);
    } else if let Some(same) = users::group_by_name(&own.name) {
        call.add(["-G", &same.name]);
    }
    call.option("-g", own.comment.as_deref());
    call.option("-h", own.home.as_deref());
    call.option("-s", own.shell.as_deref());
    call.flag("-H", !own.create_home);
    call.option("-k", own.skeleton.as_deref());
    call.flag("-S", own.system);
    let groups = own.named_groups()?;
    said.change(&own.name, &call.words([&own.name]), context)?;
    set_password(own, said, context)?;
    for group in groups {
        said.change(&own.name, &Call::new("adduser").words([&own.name, &group.name]), context)?;
    }
    Ok(())
}

pub(super) fn modify(own: &UserArgs, now: &User, said: &mut Said, context: &Context) -> Result<(), Failure> {
    let differs = |wanted: &Option<String>, now: &str| wanted.as_ref().is_some_and(|wanted| wanted != now);
    let gid = own.group.as_deref().map(group).transpose()?.map(|group| group.gid);
    let lacking = [
        ("uid", own.uid.is_some_and(|uid| uid != now.uid)),
        ("group", gid.is_some_and(|gid| gid != now.gid)),
        ("comment", differs(&own.comment, &now.gecos)),
        ("home", differs(&own.home, &now.home)),
        ("shell", differs(&own.shell, &now.shell)),
        ("expires", own.expires.is_some()),
        ("password_expire_account_disable", own.inactive.is_some()),
    ];
    refuse(own, &lacking)?;
    if let Some((wanted, appended)) = shadow_tools::groups(own)? {
        let now = users::groups_naming(&own.name);
        for name in wanted.iter().filter(|name| !now.contains(name)) {
            said.change(&own.name, &Call::new("adduser").words([&own.name, name]), context)?;
        }
        for name in now.iter().filter(|name| !appended && !wanted.contains(name)) {
            said.change(&own.name, &Call::new("delgroup").words([&own.name, name]), context)?;
        }
    }
    if own.password_always {
        set_password(own, said, context)?;
    }
    Ok(())
}

pub(super) fn remove(own: &UserArgs) -> Call {
    let mut call = Call::new("deluser");
    call.flag("--remove-home", own.remove);
    call.words([&own.name])
}

fn set_password(own: &UserArgs, said: &mut Said, context: &Context) -> Result<(), Failure> {
    let now = shadow::of(&own.name).password;
    if let Some(password) = &own.password
        && password.trim_start_matches('!') != now.trim_start_matches('!')
    {
        let mut call = Call::new("chpasswd").words(["-e"]);
        call.stdin = format!("{}:{password}\n", own.name);
        said.change(&own.name, &call, context)?;
    }
    let locked = !context.check && shadow::of(&own.name).password.starts_with('!');
    match own.password_lock {
        Some(true) if !locked => said.change(&own.name, &Call::new("passwd").words(["-l", &own.name]), context),
        Some(false) if locked => said.change(&own.name, &Call::new("passwd").words(["-u", &own.name]), context),
        _ => Ok(()),
    }
}

fn refuse(own: &UserArgs, lacking: &[(&str, bool)]) -> Result<(), Failure> {
    let named: Vec<&str> = lacking.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name).collect();
    if named.is_empty() {
        return Ok(());
    }
    let words = format!("this host has busybox alone, which cannot set {}: install shadow", named.join(", "));
    Err(Failure::new(words).with("name", own.name.as_str()))
}
