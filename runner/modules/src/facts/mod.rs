//! setup: what there is to know of a host, under Ansible's names.

mod hardware;
mod network;
mod platform;

use serde_json::{Map, Value};

pub(crate) use platform::service_manager;

use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, Fields, ModuleResult, Outcome};

struct SetupArgs {
    filter: Vec<String>,
    subset: Vec<String>,
}

impl SetupArgs {
    fn read(args: &Args) -> Self {
        let list = |name: &str| {
            args.list(name).unwrap_or_default().into_iter().filter(|item| !item.is_empty()).collect::<Vec<_>>()
        };
        Self { filter: list("filter"), subset: list("gather_subset") }
    }
}

type Gather = fn(&mut Fields);

/// What can be asked for, and what gathers it.
const SUBSETS: [(&str, Gather); 3] =
    [("min", platform::gather), ("hardware", hardware::gather), ("network", network::gather)];

/// Names of Ansible's that are a part of one of ours.
fn subset_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "min" | "platform" | "distribution" | "env" | "date_time" | "user" | "service_mgr" | "pkg_mgr" | "hostname"
        | "system" | "local" | "lsb" | "python" | "cmdline" | "fips" | "selinux" | "apparmor" | "caps" | "dns"
        | "loadavg" | "ssh_pub_keys" | "is_chroot" => "min",
        "hardware" | "memory" | "cpu" | "processor" | "mounts" | "devices" => "hardware",
        "network" | "interfaces" | "default_ipv4" | "fibre_channel_wwn" | "iscsi" => "network",
        "virtual" | "virtualization_type" | "virtualization_role" | "facter" | "ohai" => "min",
        _ => return None,
    })
}

/// # Errors
/// An unknown subset.
pub(crate) fn run(args: &Args, _context: &Context) -> ModuleResult {
    let own = SetupArgs::read(args);
    let wanted = chosen(&own.subset)?;
    let mut facts = Map::new();
    for (name, gather) in SUBSETS {
        if wanted.contains(&name) {
            gather(&mut facts);
        }
    }
    let subset: Vec<Value> = if own.subset.is_empty() {
        vec!["all".into()]
    } else {
        own.subset.iter().map(|name| name.as_str().into()).collect()
    };
    facts.insert("gather_subset".to_owned(), subset.into());
    facts.insert("module_setup".to_owned(), true.into());
    let mut named = Map::new();
    for (name, value) in facts {
        // As Ansible: these two are the only ones without the prefix.
        let whole =
            if matches!(name.as_str(), "gather_subset" | "module_setup") { name } else { format!("ansible_{name}") };
        if passes(&whole, &own.filter) {
            named.insert(whole, value);
        }
    }
    Ok(Outcome::new(false).with("ansible_facts", named))
}

/// Names add their subsets to the least; `!name` takes one away; `!all` leaves the least, `!min` not even that.
fn chosen(subset: &[String]) -> Result<Vec<&'static str>, Failure> {
    let every = SUBSETS.map(|(name, _)| name);
    let (mut wanted, mut dropped, mut least) = (Vec::new(), Vec::new(), false);
    for name in subset {
        let (negative, bare) = name.strip_prefix('!').map_or((false, name.as_str()), |bare| (true, bare));
        match (bare, negative, subset_of(bare)) {
            ("all", true, _) => least = true,
            ("all", false, _) => wanted.extend(every),
            ("min", true, _) => dropped.push("min"),
            (_, true, Some("min")) => {} // a part of the least cannot be taken out of it
            (_, true, Some(name)) => dropped.push(name),
            (_, false, Some(name)) => wanted.push(name),
            (_, _, None) => {
                return Err(Failure::new(format!(
                    "Bad subset '{bare}' given to Ansible. gather_subset options allowed: all, min, hardware, network and their parts"
                )));
            }
        }
    }
    if wanted.is_empty() && !least {
        wanted.extend(every);
    }
    wanted.push("min");
    wanted.retain(|name| !dropped.contains(name));
    Ok(wanted)
}

/// Shell patterns over whole names, with or without the prefix.
fn passes(name: &str, filter: &[String]) -> bool {
    filter.is_empty()
        || filter.iter().any(|pattern| {
            let bare = name.strip_prefix("ansible_").unwrap_or(name);
            glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name) || pattern.matches(bare))
        })
}

fn set(facts: &mut Fields, name: &str, value: impl Into<Value>) {
    facts.insert(name.to_owned(), value.into());
}

fn read(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    SetupArgs::read(args);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(args: Value) -> Fields {
        let args = Args::new("setup", args.as_object().unwrap().clone()).unwrap();
        let outcome = run(&args, &Context::default()).unwrap();
        outcome.fields["ansible_facts"].as_object().unwrap().clone()
    }

    #[test]
    fn everything() {
        let all = facts(json!({}));
        for name in [
            "architecture",
            "kernel",
            "hostname",
            "fqdn",
            "nodename",
            "system",
            "user_id",
            "env",
            "date_time",
            "memtotal_mb",
            "processor_vcpus",
            "all_ipv4_addresses",
            "service_mgr",
            "pkg_mgr",
            "distribution",
            "os_family",
            "mounts",
        ] {
            assert!(all.contains_key(&format!("ansible_{name}")), "{name}");
        }
        assert!(all["ansible_memtotal_mb"].as_u64().unwrap() > 0);
    }

    #[test]
    fn subsets_and_filters() {
        assert!(!facts(json!({"gather_subset": "!all"})).contains_key("ansible_memtotal_mb"));
        assert!(facts(json!({"gather_subset": ["!all", "hardware"]})).contains_key("ansible_memtotal_mb"));
        assert!(!facts(json!({"gather_subset": ["!network"]})).contains_key("ansible_all_ipv4_addresses"));
        assert!(facts(json!({"gather_subset": ["network"]})).contains_key("ansible_kernel"));
        let two = facts(json!({"filter": "ansible_kern*,hostname"}));
        assert!(
            two.contains_key("ansible_kernel")
                && two.contains_key("ansible_hostname")
                && !two.contains_key("ansible_env")
        );
        assert!(chosen(&["nonsense".to_owned()]).is_err());
    }
}
