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

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Addresses that validation may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedNetworks {
    /// All but those that can only mean this host, this link, nobody or many: loopback, link-local
    /// (with it the metadata services of clouds), unspecified, multicast and broadcast, and what
    /// embeds an IPv4 address in IPv6 or tunnels it.
    Default,
    /// Exactly these.
    Only(Vec<Network>),
}

impl AllowedNetworks {
    /// Whether validation may connect to `address`.
    pub fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::Default => match address.to_canonical() {
                IpAddr::V4(address) => ordinary_v4(address),
                IpAddr::V6(address) => ordinary_v6(address),
            },
            Self::Only(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

/// Not one of the special blocks of RFC 6890 that reach this host, this link, nobody or many.
fn ordinary_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 0/8 is "this network", 240/4 reserved, 255.255.255.255 broadcast.
    !(first == 0
        || first >= 240
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        // Metadata services that are not link-local (Alibaba Cloud; Oracle and Azure use link-local or this wire server).
        || address == Ipv4Addr::new(100, 100, 100, 200)
        || address == Ipv4Addr::new(168, 63, 129, 16))
}

/// As [`ordinary_v4`]; fd00:ec2::254 is the metadata service of AWS.
fn ordinary_v6(address: Ipv6Addr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let [first, second, ..] = address.segments();
    // ::/96 (IPv4-compatible, loopback, unspecified), 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64),
    // 2002::/16 (6to4), 2001::/32 (Teredo): each reaches an IPv4 address that was not looked at.
    !(address.to_bits() >> 32 == 0
        || (first == 0x64 && second == 0xff9b)
        || first == 0x2002
        || (first == 0x2001 && second == 0)
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address == METADATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_refuses_this_host_this_link_nobody_and_many() {
        for refused in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00:ec2::254",
        ] {
            assert!(!AllowedNetworks::Default.allows(refused.parse().unwrap()), "{refused}");
        }
        for allowed in ["10.1.2.3", "192.168.0.1", "203.0.113.7", "2001:db8::1", "fd12::1"] {
            assert!(AllowedNetworks::Default.allows(allowed.parse().unwrap()), "{allowed}");
        }
    }

    #[test]
    fn named_networks_are_exactly_what_is_allowed() {
        let only = AllowedNetworks::Only(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        assert!(only.allows("127.0.0.1".parse().unwrap()));
        assert!(only.allows("::ffff:127.0.0.1".parse().unwrap()));
        assert!(only.allows("fd00::1".parse().unwrap()));
        assert!(!only.allows("10.0.0.1".parse().unwrap()));
        assert!(!only.allows("::1".parse().unwrap()));
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
