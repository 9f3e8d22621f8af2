//! Memory, processors and mounts, from /proc.

use serde_json::{Value, json};

use super::{read, set};
use crate::outcome::Fields;

pub(super) fn gather(facts: &mut Fields) {
    memory(facts, &read("/proc/meminfo"));
    processors(facts, &read("/proc/cpuinfo"));
    set(facts, "mounts", mounts(&read("/proc/mounts")));
    if let Some(seconds) = read("/proc/uptime").split('.').next().and_then(|text| text.parse::<u64>().ok()) {
        set(facts, "uptime_seconds", seconds);
    }
}

fn memory(facts: &mut Fields, text: &str) {
    let megabytes = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    for (fact, name) in [
        ("memtotal_mb", "MemTotal"),
        ("memfree_mb", "MemFree"),
        ("swaptotal_mb", "SwapTotal"),
        ("swapfree_mb", "SwapFree"),
    ] {
        set(facts, fact, megabytes(name));
    }
}

fn processors(facts: &mut Fields, text: &str) {
    let values = |name: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).collect()
    };
    let count = values("processor").len().max(1);
    let distinct = |mut values: Vec<String>| {
        values.sort();
        values.dedup();
        values.len()
    };
    let sockets = distinct(values("physical id")).max(1);
    let cores = values("cpu cores").first().and_then(|text| text.parse().ok()).unwrap_or(1_usize);
    let threads = (count / (sockets * cores).max(1)).max(1);
    let models = values("model name");
    let described: Vec<Value> = (0..count)
        .flat_map(|index| {
            let model = models.get(index).cloned().unwrap_or_default();
            let vendor = values("vendor_id").get(index).cloned().unwrap_or_default();
            [index.to_string(), vendor, model].into_iter().filter(|text| !text.is_empty()).map(Value::from)
        })
        .collect();
    set(facts, "processor", described);
    set(facts, "processor_count", sockets);
    set(facts, "processor_cores", cores);
    set(facts, "processor_threads_per_core", threads);
    set(facts, "processor_vcpus", sockets * cores * threads);
    set(facts, "processor_nproc", std::thread::available_parallelism().map_or(count, std::num::NonZero::get));
}

fn mounts(text: &str) -> Vec<Value> {
    let unescape = |field: &str| field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [device, mount, fstype, options, ..] = fields.as_slice() else { return None };
            let real = device.starts_with('/') || device.contains(":/");
            real.then(
                || json!({"device": unescape(device), "mount": unescape(mount), "fstype": fstype, "options": options}),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let mut facts = Fields::new();
        memory(&mut facts, "MemTotal:        2097152 kB\nMemFree: 1024 kB\n");
        assert_eq!((&facts["memtotal_mb"], &facts["swaptotal_mb"]), (&json!(2048), &json!(0)));
        processors(
            &mut facts,
            "processor\t: 0\nphysical id\t: 0\ncpu cores\t: 1\n\nprocessor\t: 1\nphysical id\t: 0\ncpu cores\t: 1\n",
        );
        assert_eq!((&facts["processor_vcpus"], &facts["processor_threads_per_core"]), (&json!(2), &json!(2)));
        let found = mounts("/dev/sda1 /my\\040disk ext4 rw 0 0\nproc /proc proc rw 0 0\n");
        assert_eq!(found, [json!({"device": "/dev/sda1", "mount": "/my disk", "fstype": "ext4", "options": "rw"})]);
    }
}
