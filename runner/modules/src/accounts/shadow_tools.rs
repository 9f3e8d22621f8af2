//! useradd and usermod.

use super::user::{UserArgs, group};
use super::{Call, shadow};
use crate::clock;
use crate::outcome::Failure;
use crate::users::{self, User};

const DAY: i64 = 86_400;

/// The call that makes the account.
pub(super) fn create(own: &UserArgs) -> Result<Call, Failure> {
    let mut call = Call::new("useradd");
    call.option("-u", own.uid.map(|uid| uid.to_string()).as_deref());
    call.flag("-o", own.uid.is_some() && own.non_unique);
    call.option("-Z", own.seuser.as_deref());
    if let Some(name) = &own.group {
        group(name)?;
        call.add(["-g", name]);
    } else {
        // useradd would make a group of the user's name, and fail where there is one.
        call.flag("-N", users::group_by_name(&own.name).is_some());
    }
    own.named_groups()?;
    let groups = own.groups.as_deref().unwrap_or_default().join(",");
    call.option("-G", Some(groups.as_str()).filter(|groups| !groups.is_empty()));
    call.option("-c", own.comment.as_deref());
    call.option("-d", own.home.as_deref());
    call.option("-s", own.shell.as_deref());
    call.option("-e", own.expires.map(date).as_deref());
    call.option("-f", own.inactive.map(|days| days.to_string()).as_deref());
    call.option("-p", own.password.as_ref().map(|password| lockable(own, password)).as_deref());
    if own.create_home {
        call.add(["-m"]);
        call.option("-k", own.skeleton.as_deref());
        call.option("-K", own.umask.as_ref().map(|umask| format!("UMASK={umask}")).as_deref());
    } else {
        call.add(["-M"]);
    }
    call.flag("-r", own.system);
    for (name, bound) in [("UID_MIN", own.uid_min), ("UID_MAX", own.uid_max)] {
        call.option("-K", bound.map(|bound| format!("{name}={bound}")).as_deref());
    }
    Ok(call.words([&own.name]))
}

/// The call that makes the account as wanted. None where it is.
pub(super) fn modify(own: &UserArgs, now: &User) -> Result<Option<Call>, Failure> {
    let mut call = Call::new("usermod");
    if let Some(uid) = own.uid.filter(|uid| *uid != now.uid) {
        call.add(["-u", &uid.to_string()]);
        call.flag("-o", own.non_unique);
    }
    if let Some(name) = &own.group {
        let gid = group(name)?.gid;
        call.option("-g", Some(gid).filter(|gid| *gid != now.gid).map(|gid| gid.to_string()).as_deref());
    }
    if let Some((groups, appended)) = groups(own)? {
        call.flag("-a", appended);
        call.add(["-G", &groups.join(",")]);
    }
    call.option("-c", own.comment.as_deref().filter(|comment| *comment != now.gecos));
    if let Some(home) = own.home.as_deref().filter(|home| *home != now.home) {
        call.add(["-d", home]);
        call.flag("-m", own.move_home);
    }
    call.option("-s", own.shell.as_deref().filter(|shell| *shell != now.shell));
    let shadow = shadow::of(&own.name);
    call.option("-e", own.expires.filter(|seconds| expires_otherwise(*seconds, shadow.expires)).map(date).as_deref());
    let inactive = own.inactive.filter(|days| *days != shadow.inactive);
    call.option("-f", inactive.map(|days| days.to_string()).as_deref());
    let bare = |password: &str| password.trim_start_matches('!').to_owned();
    match &own.password {
        // -p takes neither -L nor -U beside it
        Some(password) if own.password_always && bare(password) != bare(&shadow.password) => {
            call.add(["-p", &lockable(own, password)]);
        }
        _ => {
            let locked = shadow.password.starts_with('!');
            call.flag("-L", own.password_lock == Some(true) && !locked);
            call.flag("-U", own.password_lock == Some(false) && locked);
        }
    }
    Ok(call.asks().then(|| call.words([&own.name])))
}

/// The groups to set, and whether they are added to those that there are. None where all is as wanted.
pub(super) fn groups(own: &UserArgs) -> Result<Option<(Vec<String>, bool)>, Failure> {
    if own.groups.is_none() {
        return Ok(None);
    }
    let mut wanted: Vec<String> = own.named_groups()?.into_iter().map(|group| group.name).collect();
    wanted.sort();
    wanted.dedup();
    let now = users::groups_naming(&own.name);
    let missing = wanted.iter().any(|name| !now.contains(name));
    let surplus = !own.append && now.iter().any(|name| !wanted.contains(name));
    Ok((missing || surplus).then_some((wanted, own.append)))
}

fn lockable(own: &UserArgs, password: &str) -> String {
    if own.password_lock == Some(true) { format!("!{password}") } else { password.to_owned() }
}

fn expires_otherwise(seconds: i64, now: i64) -> bool {
    if seconds < 0 { now >= 0 } else { now != seconds.div_euclid(DAY) }
}

/// As useradd's -e takes it; nothing means never.
fn date(seconds: i64) -> String {
    if seconds < 0 {
        return String::new();
    }
    let t = clock::utc(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs()));
    format!("{:04}-{:02}-{:02}", t.year, t.month, t.day)
}
