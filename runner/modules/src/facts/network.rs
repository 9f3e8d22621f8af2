//! Interfaces, addresses and the default route.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::{read, set};
use crate::outcome::Fields;

pub(super) fn gather(facts: &mut Fields) {
    let addresses = addresses();
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_else(|_| addresses.keys().cloned().collect());
    names.sort();
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for name in &names {
        let own = addresses.get(name).cloned().unwrap_or_default();
        v4.extend(own.v4.iter().filter(|(address, _)| !address.is_loopback()).map(|(address, _)| address.to_string()));
        v6.extend(own.v6.iter().filter(|address| !address.is_loopback()).map(ToString::to_string));
        set(facts, &name.replace(['-', ':', '.'], "_"), describe(name, &own));
    }
    set(facts, "interfaces", names);
    set(facts, "all_ipv4_addresses", v4);
    set(facts, "all_ipv6_addresses", v6);
    set(facts, "default_ipv4", default_route(&read("/proc/net/route"), &addresses));
}

#[derive(Debug, Default, Clone)]
struct Addresses {
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<Ipv6Addr>,
}

/// Every interface's addresses, by getifaddrs(3).
fn addresses() -> BTreeMap<String, Addresses> {
    let mut found: BTreeMap<String, Addresses> = BTreeMap::new();
    let mut list = std::ptr::null_mut();
    // SAFETY: getifaddrs fills in a linked list that stays valid until freeifaddrs; an address's family says which
    // structure it points to.
    unsafe {
        if libc::getifaddrs(&raw mut list) != 0 {
            return found;
        }
        let mut next = list;
        while let Some(entry) = next.as_ref() {
            next = entry.ifa_next;
            let name = std::ffi::CStr::from_ptr(entry.ifa_name).to_string_lossy().into_owned();
            let own = found.entry(name).or_default();
            let Some(address) = entry.ifa_addr.as_ref() else { continue };
            match i32::from(address.sa_family) {
                libc::AF_INET => {
                    let v4 = |address: *const libc::sockaddr| {
                        Ipv4Addr::from(u32::from_be((*address.cast::<libc::sockaddr_in>()).sin_addr.s_addr))
                    };
                    let mask = if entry.ifa_netmask.is_null() { Ipv4Addr::BROADCAST } else { v4(entry.ifa_netmask) };
                    own.v4.push((v4(entry.ifa_addr), mask));
                }
                libc::AF_INET6 => {
                    own.v6.push(Ipv6Addr::from((*entry.ifa_addr.cast::<libc::sockaddr_in6>()).sin6_addr.s6_addr));
                }
                _ => {}
            }
        }
        libc::freeifaddrs(list);
    }
    found
}

fn network(address: Ipv4Addr, mask: Ipv4Addr) -> Value {
    let network = Ipv4Addr::from(u32::from(address) & u32::from(mask));
    json!({
        "address": address.to_string(), "netmask": mask.to_string(), "network": network.to_string(),
        "prefix": u32::from(mask).count_ones().to_string(),
        "broadcast": Ipv4Addr::from(u32::from(address) | !u32::from(mask)).to_string(),
    })
}

fn describe(name: &str, own: &Addresses) -> Value {
    let file = |leaf: &str| read(&format!("/sys/class/net/{name}/{leaf}")).trim().to_owned();
    let mut told = json!({"device": name, "active": file("operstate") == "up" || name == "lo"});
    if let Ok(mtu) = file("mtu").parse::<u64>() {
        told["mtu"] = mtu.into();
    }
    let mac = file("address");
    if !mac.is_empty() && name != "lo" {
        told["macaddress"] = mac.into();
    }
    if let Some((address, mask)) = own.v4.first() {
        told["ipv4"] = network(*address, *mask);
    }
    if !own.v6.is_empty() {
        told["ipv6"] = own.v6.iter().map(|address| json!({"address": address.to_string()})).collect();
    }
    told
}

fn default_route(routes: &str, addresses: &BTreeMap<String, Addresses>) -> Value {
    for line in routes.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, "00000000", gateway, ..] = fields.as_slice() else { continue };
        // /proc/net/route has addresses in the machine's own byte order
        let gateway = u32::from_str_radix(gateway, 16).map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
        let mut told = match addresses.get(*interface).and_then(|own| own.v4.first()) {
            Some((address, mask)) => network(*address, *mask),
            None => json!({}),
        };
        told["interface"] = (*interface).into();
        if let Ok(gateway) = gateway {
            told["gateway"] = gateway.to_string().into();
        }
        let mac = read(&format!("/sys/class/net/{interface}/address"));
        if !mac.trim().is_empty() {
            told["macaddress"] = mac.trim().into();
        }
        return told;
    }
    json!({})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route() {
        let routes = "Iface Destination Gateway Flags\neth0 0000FEA9 00000000 0001\neth0 00000000 0100A8C0 0003\n";
        let own =
            Addresses { v4: vec![(Ipv4Addr::new(192, 168, 0, 7), Ipv4Addr::new(255, 255, 255, 0))], v6: Vec::new() };
        let told = default_route(routes, &BTreeMap::from([("eth0".to_owned(), own)]));
        assert_eq!(
            (&told["gateway"], &told["network"], &told["prefix"]),
            (&json!("192.168.0.1"), &json!("192.168.0.0"), &json!("24"))
        );
        assert_eq!(default_route("Iface\n", &BTreeMap::new()), json!({}));
    }
}
