//! The system: its name, its distribution, who runs here, what time it is.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{read, set};
use crate::clock;
use crate::outcome::Fields;
use crate::process::find_program;
use crate::users;

pub(super) fn gather(facts: &mut Fields) {
    names(facts);
    distribution(facts);
    managers(facts);
    user(facts);
    set(facts, "date_time", date_time());
    let env: Fields = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned().into()))
        .collect();
    set(facts, "env", env);
    if let Some((id, virtual_role)) = virtualization() {
        set(facts, "virtualization_type", id);
        set(facts, "virtualization_role", virtual_role);
    }
    let cmdline: Fields = read("/proc/cmdline")
        .split_whitespace()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.into()),
            None => (word.to_owned(), true.into()),
        })
        .collect();
    set(facts, "cmdline", cmdline);
    let machine_id = read("/etc/machine-id");
    if !machine_id.trim().is_empty() {
        set(facts, "machine_id", machine_id.trim());
    }
}

/// The fields of uname(2).
fn uname() -> [String; 5] {
    let mut names = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the pointer is valid for the call, and a zeroed utsname holds empty strings.
    let names = unsafe {
        libc::uname(names.as_mut_ptr());
        names.assume_init()
    };
    // SAFETY: the kernel ends each field with a NUL.
    let text = |field: &[libc::c_char]| unsafe { CStr::from_ptr(field.as_ptr()).to_string_lossy().into_owned() };
    [text(&names.sysname), text(&names.nodename), text(&names.release), text(&names.version), text(&names.machine)]
}

fn names(facts: &mut Fields) {
    let [system, node, release, version, machine] = uname();
    let short = node.split('.').next().unwrap_or_default().to_owned();
    let fqdn = if node.contains('.') { node.clone() } else { full_name(&node, &read("/etc/hosts")) };
    set(facts, "system", system);
    set(facts, "kernel", release);
    set(facts, "kernel_version", version);
    set(facts, "architecture", machine.clone());
    set(facts, "machine", machine.clone());
    set(facts, "userspace_bits", if cfg!(target_pointer_width = "64") { "64" } else { "32" });
    set(facts, "userspace_architecture", machine);
    set(facts, "domain", fqdn.split_once('.').map_or("", |(_, domain)| domain));
    set(facts, "hostname", short);
    set(facts, "nodename", node);
    set(facts, "fqdn", fqdn);
}

/// The first name with a dot that /etc/hosts gives beside the host's own.
fn full_name(node: &str, hosts: &str) -> String {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace().skip(1));
    for names in lines {
        let names: Vec<&str> = names.collect();
        if names.contains(&node)
            && let Some(whole) = names.iter().find(|name| name.contains('.') && !name.starts_with("localhost"))
        {
            return (*whole).to_owned();
        }
    }
    node.to_owned()
}

fn os_release() -> BTreeMap<String, String> {
    let text = [read("/etc/os-release"), read("/usr/lib/os-release")].into_iter().find(|text| !text.is_empty());
    let pairs = text.unwrap_or_default();
    pairs
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
        .collect()
}

fn distribution(facts: &mut Fields) {
    let release = os_release();
    let get = |name: &str| release.get(name).map_or("", String::as_str);
    let name = match get("ID") {
        "debian" => "Debian",
        "ubuntu" => "Ubuntu",
        "fedora" => "Fedora",
        "centos" => "CentOS",
        "rhel" => "RedHat",
        "rocky" => "Rocky",
        "almalinux" => "AlmaLinux",
        "ol" => "OracleLinux",
        "amzn" => "Amazon",
        "alpine" => "Alpine",
        "arch" => "Archlinux",
        "opensuse-leap" => "openSUSE Leap",
        "opensuse-tumbleweed" => "openSUSE Tumbleweed",
        "sles" => "SLES",
        "linuxmint" => "Linux Mint",
        "kali" => "Kali",
        "raspbian" => "Raspbian",
        "" if cfg!(target_os = "macos") => "MacOSX",
        _ => get("NAME"),
    };
    let like = format!("{} {}", get("ID"), get("ID_LIKE"));
    let is = |word: &str| like.split_whitespace().any(|id| id == word);
    let family = if is("debian") || is("ubuntu") {
        "Debian"
    } else if is("rhel") || is("fedora") || is("centos") || is("amzn") {
        "RedHat"
    } else if is("suse") || is("sles") || is("opensuse") {
        "Suse"
    } else if is("alpine") {
        "Alpine"
    } else if is("arch") {
        "Archlinux"
    } else if cfg!(target_os = "macos") {
        "Darwin"
    } else {
        name
    };
    let mut version = get("VERSION_ID").to_owned();
    if name == "Debian" {
        // os-release has "12", Ansible reports what debian_version has: "12.5"
        let exact = read("/etc/debian_version");
        if exact.starts_with(|letter: char| letter.is_ascii_digit()) {
            exact.trim().clone_into(&mut version);
        }
    }
    let major = get("VERSION_ID").split('.').next().unwrap_or_default().to_owned();
    set(facts, "distribution", name);
    set(facts, "distribution_version", if version.is_empty() { "NA".to_owned() } else { version });
    set(facts, "distribution_major_version", if major.is_empty() { "NA".to_owned() } else { major });
    set(facts, "distribution_release", if get("VERSION_CODENAME").is_empty() { "NA" } else { get("VERSION_CODENAME") });
    set(facts, "os_family", family);
    let lsb = json!({"id": name, "release": get("VERSION_ID"), "codename": get("VERSION_CODENAME"), "description": get("PRETTY_NAME")});
    set(facts, "lsb", lsb);
}

fn managers(facts: &mut Fields) {
    set(facts, "service_mgr", service_manager());
    let package_managers = [
        ("apt-get", "apt"),
        ("dnf", "dnf"),
        ("yum", "yum"),
        ("zypper", "zypper"),
        ("apk", "apk"),
        ("pacman", "pacman"),
        ("brew", "homebrew"),
    ];
    let found = package_managers.into_iter().find(|(program, _)| find_program(program).is_some());
    set(facts, "pkg_mgr", found.map_or("unknown", |(_, name)| name));
}

/// What starts services here.
pub(crate) fn service_manager() -> &'static str {
    if cfg!(target_os = "macos") {
        "launchd"
    } else if Path::new("/run/systemd/system").is_dir() {
        "systemd"
    } else if Path::new("/run/openrc").is_dir() {
        "openrc"
    } else if Path::new("/etc/init.d").is_dir() {
        "sysvinit"
    } else {
        "service"
    }
}

fn user(facts: &mut Fields) {
    let user = users::current();
    let uid = users::effective_uid();
    // SAFETY: these calls cannot fail.
    let (real_uid, gid, real_gid) = unsafe { (libc::getuid(), libc::getegid(), libc::getgid()) };
    set(facts, "user_id", user.as_ref().map_or_else(|| uid.to_string(), |user| user.name.clone()));
    set(facts, "user_uid", uid);
    set(facts, "user_gid", user.as_ref().map_or(gid, |user| user.gid));
    set(facts, "user_gecos", user.as_ref().map_or("", |user| user.gecos.as_str()));
    set(facts, "user_dir", user.as_ref().map_or("", |user| user.home.as_str()));
    set(facts, "user_shell", user.as_ref().map_or("", |user| user.shell.as_str()));
    set(facts, "real_user_id", real_uid);
    set(facts, "effective_user_id", uid);
    set(facts, "real_group_id", real_gid);
    set(facts, "effective_group_id", gid);
}

fn date_time() -> Value {
    let now = SystemTime::now();
    let (local, utc) = (clock::local(now), clock::utc(now));
    let epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = format!("{:04}-{:02}-{:02}", local.year, local.month, local.day);
    let time = format!("{:02}:{:02}:{:02}", local.hour, local.minute, local.second);
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let offset = local.offset_seconds / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    let iso =
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second);
    json!({
        "date": date, "time": time,
        "year": format!("{:04}", local.year), "month": format!("{:02}", local.month), "day": format!("{:02}", local.day),
        "hour": format!("{:02}", local.hour), "minute": format!("{:02}", local.minute), "second": format!("{:02}", local.second),
        "weekday": days[local.weekday as usize % 7], "weekday_number": local.weekday.to_string(),
        "epoch": epoch.as_secs().to_string(), "epoch_int": epoch.as_secs().to_string(),
        "iso8601": format!("{iso}Z"), "iso8601_micro": format!("{iso}.{:06}Z", utc.micros),
        "iso8601_basic_short": format!("{}T{}", date.replace('-', ""), time.replace(':', "")),
        "tz_offset": format!("{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60),
    })
}

fn virtualization() -> Option<(&'static str, &'static str)> {
    if Path::new("/.dockerenv").exists() {
        return Some(("docker", "guest"));
    }
    let container = read("/run/systemd/container");
    if let Some(kind) = ["docker", "podman", "lxc", "systemd-nspawn"].into_iter().find(|kind| container.trim() == *kind)
    {
        return Some((kind, "guest"));
    }
    let product = read("/sys/class/dmi/id/product_name");
    let vendor = read("/sys/class/dmi/id/sys_vendor");
    if product.contains("KVM") || vendor.contains("QEMU") {
        return Some(("kvm", "guest"));
    }
    if product.contains("VirtualBox") {
        return Some(("virtualbox", "guest"));
    }
    if product.contains("VMware") {
        return Some(("VMware", "guest"));
    }
    cfg!(target_os = "linux").then_some(("NA", "NA"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_comes_from_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 web.example.org web # me\n";
        assert_eq!(full_name("web", hosts), "web.example.org");
        assert_eq!(full_name("db", hosts), "db");
    }
}
