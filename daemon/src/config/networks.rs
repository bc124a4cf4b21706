//! Networks that validation may connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP network: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network: write an address, a slash and a prefix length, such as \"10.0.0.0/8\"")]
pub struct NetworkError(String);

impl Network {
    /// Whether `address` lies in the network. An IPv4 address in IPv6 clothes (RFC 4291 section
    /// 2.5.5.2) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(network.to_bits().into(), address.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

/// Whether the leftmost `prefix` of `width` bits agree.
fn same_prefix(left: u128, right: u128, width: u32, prefix: u8) -> bool {
    (left ^ right).checked_shr(width - u32::from(prefix)).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.chars().take(64).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let prefix: u8 = prefix.parse().map_err(|_| error())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        if prefix > width || address.to_canonical() != address {
            return Err(error());
        }
        Ok(Self { address, prefix })
    }
}

impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Addresses that validation may connect to. An IPv6 address that leads to an IPv4 address is judged
/// by that address.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AllowedNetworks {
    /// All but those that can only mean this host, this link, nobody or many: loopback, link-local,
    /// unspecified, multicast and broadcast; and the metadata services of clouds.
    Default,
    /// Exactly these.
    Only(Vec<Network>),
}

impl AllowedNetworks {
    /// Whether validation may connect to `address`.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let carried = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => carried(address),
        };
        match self {
            Self::Default => match (carried, address) {
                (Some(carried), _) => !carried.addresses.is_empty() && carried.addresses.into_iter().all(ordinary_v4),
                (None, IpAddr::V4(address)) => ordinary_v4(address),
                (None, IpAddr::V6(address)) => ordinary_v6(address),
            },
            Self::Only(networks) => {
                let named = |address: IpAddr| networks.iter().any(|network| network.contains(address));
                match carried {
                    None => named(address),
                    Some(carried) => {
                        // A network inside the block of the translator is meant as it is written.
                        let meant = |network: &Network| network.prefix >= carried.prefix && network.contains(address);
                        networks.iter().any(meant)
                            || !carried.addresses.is_empty()
                                && carried.addresses.iter().all(|address| named(IpAddr::V4(*address)))
                    }
                }
            }
        }
    }
}

/// An IPv6 block whose addresses lead to IPv4 addresses.
struct Carried {
    /// Length of the block's prefix.
    prefix: u8,
    /// Where the address leads; empty if that cannot be told.
    addresses: Vec<Ipv4Addr>,
}

/// The IPv4 addresses to which an IPv6 address leads. IPv4-mapped ones are canonical by now.
fn carried(address: Ipv6Addr) -> Option<Carried> {
    let bits = address.to_bits();
    let at = |shift: u32| Ipv4Addr::from_bits((bits >> shift & 0xffff_ffff) as u32);
    let (prefix, addresses) = match address.segments() {
        // IPv4-compatible (RFC 4291 section 2.5.5.1); :: and ::1 are addresses of their own.
        [0, 0, 0, 0, 0, 0, ..] if bits > 1 => (96, vec![at(0)]),
        // IPv4-translated (RFC 2765 section 2.1)
        [0, 0, 0, 0, 0xffff, 0, ..] => (96, vec![at(0)]),
        // NAT64, the well-known prefix (RFC 6052 section 2.1)
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => (96, vec![at(0)]),
        // NAT64, local use (RFC 8215): where the address stands depends on the site.
        [0x64, 0xff9b, 1, ..] => (48, Vec::new()),
        // Teredo (RFC 4380 section 4): the server, and the client in complement.
        [0x2001, 0, ..] => (32, vec![at(64), Ipv4Addr::from_bits(!at(0).to_bits())]),
        // 6to4 (RFC 3056 section 2)
        [0x2002, ..] => (16, vec![at(80)]),
        _ => return None,
    };
    Some(Carried { prefix, addresses })
}

/// Not one of the special blocks of RFC 6890 that reach this host, this link, nobody or many.
fn ordinary_v4(address: Ipv4Addr) -> bool {
    // Metadata services that are not link-local: Alibaba Cloud, Azure's wire server, Oracle Cloud.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
    let [first, ..] = address.octets();
    // 0/8 is "this network", 240/4 reserved, 255.255.255.255 broadcast.
    !(first == 0
        || first >= 240
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || METADATA.contains(&address))
}

/// As [`ordinary_v4`].
fn ordinary_v6(address: Ipv6Addr) -> bool {
    // Metadata services of AWS and of Google Cloud.
    const METADATA: [Ipv6Addr; 2] =
        [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || METADATA.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(networks: &[&str]) -> AllowedNetworks {
        AllowedNetworks::Only(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    /// Targets that no public name should lead to, by themselves or carried in IPv6.
    const HOSTILE: &[&str] = &[
        // this host
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        // this link
        "169.254.1.1",
        "fe80::1",
        "febf::1",
        // metadata services
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        // many, or nobody
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "ff02::1",
        // mapped, compatible, translated
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::169.254.169.254",
        "::ffff:0:127.0.0.1",
        // NAT64
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1::808:808",
        // 6to4
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        // Teredo: client 127.0.0.1 behind a good server, and a bad server
        "2001:0:cb00:7107:0:0:80ff:fffe",
        "2001:0:7f00:1:0:0:34ff:8ef8",
    ];

    #[test]
    fn the_default_refuses_every_hostile_target_and_what_leads_there() {
        for refused in HOSTILE {
            assert!(!AllowedNetworks::Default.allows(refused.parse().unwrap()), "{refused}");
        }
        for allowed in [
            "10.1.2.3",
            "192.168.0.1",
            "203.0.113.7",
            "2001:db8::1",
            "fd12::1",
            "2001:4860::8888",
            "::ffff:10.1.2.3",
            "64:ff9b::a01:203",
            "2002:cb00:7107::1",
            "2001:0:cb00:7107:0:0:34ff:8ef8",
        ] {
            assert!(AllowedNetworks::Default.allows(allowed.parse().unwrap()), "{allowed}");
        }
    }

    #[test]
    fn named_networks_allow_no_hostile_target_that_they_do_not_name() {
        for networks in [only(&["10.0.0.0/8", "fd12::/16"]), only(&["192.0.2.0/24"]), only(&["2001:db8::/32"])] {
            for refused in HOSTILE {
                assert!(!networks.allows(refused.parse().unwrap()), "{refused} in {networks:?}");
            }
            assert!(!networks.allows("fd00::1".parse().unwrap()), "{networks:?}");
        }
        // Not even a wide IPv6 network opens the way to IPv4.
        for carrier in HOSTILE.iter().filter(|text| text.starts_with("64:") || text.starts_with("200")) {
            assert!(!only(&["::/0"]).allows(carrier.parse().unwrap()), "{carrier}");
        }
    }

    #[test]
    fn named_networks_are_exactly_what_is_allowed() {
        let networks = only(&["127.0.0.0/8", "fd00::/8", "169.254.169.254/32"]);
        for allowed in
            ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00::1", "169.254.169.254"]
        {
            assert!(networks.allows(allowed.parse().unwrap()), "{allowed}");
        }
        for refused in ["10.0.0.0", "::1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "169.254.169.253"] {
            assert!(!networks.allows(refused.parse().unwrap()), "{refused}");
        }
        // A translator's own block, named, is meant.
        assert!(only(&["64:ff9b:1::/48"]).allows("64:ff9b:1::7f00:1".parse().unwrap()));
        assert!(only(&["64:ff9b::/96"]).allows("64:ff9b::a00:1".parse().unwrap()));
    }

    #[test]
    fn prefixes_of_every_length_cut_where_they_should() {
        for prefix in 0..=32u32 {
            let network: Network = format!("170.170.170.170/{prefix}").parse().unwrap();
            for bit in 0..32u32 {
                let flipped = IpAddr::V4(Ipv4Addr::from_bits(0xaaaa_aaaa ^ (1 << (31 - bit))));
                assert_eq!(network.contains(flipped), bit >= prefix, "/{prefix}, bit {bit}");
            }
        }
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1", "::ffff:10.0.0.0/100"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
