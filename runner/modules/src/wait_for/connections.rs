//! The connections of this host, as /proc/net/tcp and /proc/net/tcp6 list them: proc_net_tcp.txt of the kernel.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const STATES: [(&str, &str); 6] = [
    ("ESTABLISHED", "01"),
    ("SYN_SENT", "02"),
    ("SYN_RECV", "03"),
    ("FIN_WAIT1", "04"),
    ("FIN_WAIT2", "05"),
    ("TIME_WAIT", "06"),
];

pub(super) fn usual() -> Vec<String> {
    STATES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

pub(super) fn is_state(name: &str) -> bool {
    STATES.iter().any(|(known, _)| *known == name)
}

/// How many connections to `port` of one of `hosts` are in one of the states `active`.
pub(super) fn count(hosts: &[IpAddr], port: u16, exclude: &[IpAddr], active: &[String]) -> usize {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).filter(|line| counts(line, hosts, port, exclude, active)).count()
}

pub(super) fn counts(line: &str, hosts: &[IpAddr], port: u16, exclude: &[IpAddr], active: &[String]) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, remote, state, ..] = fields.as_slice() else { return false };
    let (Some((local, local_port)), Some((remote, _))) = (endpoint(local), endpoint(remote)) else { return false };
    let state = STATES.iter().find(|(_, code)| code == state);
    let is_active = state.is_some_and(|(name, _)| active.iter().any(|wanted| wanted == name));
    let meant = hosts.iter().any(|host| host.to_canonical() == local || any_of(*host, local));
    is_active && local_port == port && meant && !exclude.iter().any(|host| host.to_canonical() == remote)
}

/// Whether `host` stands for every address of `address`'s kind.
fn any_of(host: IpAddr, address: IpAddr) -> bool {
    host.is_unspecified() && host.is_ipv4() == address.is_ipv4()
}

/// An address in words of four bytes, each in the machine's own order, and a port.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}
