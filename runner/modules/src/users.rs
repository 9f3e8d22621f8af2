//! Users and groups, read from /etc/passwd and /etc/group.
//!
//! A static binary has no name service switch (glibc would load it at run time), so what the files do not know is
//! asked of `getent`, where the host has one.

use std::fs;
use std::process::{Command, Stdio};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub gecos: String,
    pub home: String,
    pub shell: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, gecos, home, shell] = fields.as_slice() else { return None };
    Some(User {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        gecos: (*gecos).to_owned(),
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields.as_slice() else { return None };
    Some(Group {
        name: (*name).to_owned(),
        gid: gid.parse().ok()?,
        members: members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    })
}

fn file(database: &str) -> String {
    fs::read(format!("/etc/{database}")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn getent(database: &str, key: &str) -> Option<String> {
    if key.is_empty() || key.starts_with('-') || cfg!(not(target_os = "linux")) {
        return None;
    }
    let output =
        Command::new("getent").args([database, key]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn find_user(key: &str, matches: impl Fn(&User) -> bool) -> Option<User> {
    let found = file("passwd").lines().filter_map(parse_user).find(|user| matches(user));
    found.or_else(|| getent("passwd", key).as_deref().and_then(parse_user))
}

fn find_group(key: &str, matches: impl Fn(&Group) -> bool) -> Option<Group> {
    let found = file("group").lines().filter_map(parse_group).find(|group| matches(group));
    found.or_else(|| getent("group", key).as_deref().and_then(parse_group))
}

#[must_use]
pub fn by_name(name: &str) -> Option<User> {
    find_user(name, |user| user.name == name)
}

#[must_use]
pub fn by_uid(uid: u32) -> Option<User> {
    find_user(&uid.to_string(), |user| user.uid == uid)
}

#[must_use]
pub fn group_by_name(name: &str) -> Option<Group> {
    find_group(name, |group| group.name == name)
}

#[must_use]
pub fn group_by_gid(gid: u32) -> Option<Group> {
    find_group(&gid.to_string(), |group| group.gid == gid)
}

/// The groups a user is in beside their own.
#[must_use]
pub fn supplementary(user: &User) -> Vec<u32> {
    let mut groups = vec![user.gid];
    for group in file("group").lines().filter_map(parse_group) {
        if group.members.contains(&user.name) && !groups.contains(&group.gid) {
            groups.push(group.gid);
        }
    }
    groups
}

/// The names of the groups that name a user as a member.
#[must_use]
pub fn groups_naming(user: &str) -> Vec<String> {
    let groups = file("group");
    let naming = groups.lines().filter_map(parse_group).filter(|group| group.members.iter().any(|name| name == user));
    naming.map(|group| group.name).collect()
}

/// Whom the runner runs as.
#[must_use]
pub fn effective_uid() -> u32 {
    #[cfg(unix)]
    // SAFETY: geteuid cannot fail and touches no memory of ours.
    unsafe {
        libc::geteuid()
    }
    #[cfg(not(unix))]
    0
}

#[cfg(unix)]
#[must_use]
pub fn effective_gid() -> u32 {
    // SAFETY: getegid cannot fail and touches no memory of ours.
    unsafe { libc::getegid() }
}

#[must_use]
pub fn current() -> Option<User> {
    if cfg!(unix) { by_uid(effective_uid()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_each_file() {
        let user = parse_user("www-data:x:33:33:www-data,,,:/var/www:/usr/sbin/nologin").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (33, 33, "/var/www"));
        let group = parse_group("adm:x:4:syslog,ubuntu").unwrap();
        assert_eq!(group.members, ["syslog", "ubuntu"]);
        assert_eq!(parse_user("broken"), None);
        assert_eq!(parse_group("nogroup:x:nan:"), None);
    }

    #[test]
    #[cfg(unix)]
    fn knows_root() {
        assert_eq!(by_uid(0).map(|user| user.name), Some("root".to_owned()));
        assert_eq!(by_name("no such user"), None);
    }
}
