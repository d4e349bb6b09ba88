//! Which addresses probes and checks may ask: those of the cluster, and what the administrator allows besides.
//!
//! In: what `--http-allow` says, a host, the addresses it resolves to. Out: an address to connect to, or why none. Invariants: pure; never
//! where clouds keep their metadata, nor link-local, multicast, broadcast or unspecified addresses; loopback only when it is allowed by its
//! network.
//! Not here: resolving and connecting ([`super::http_get`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// One value of `--http-allow`: a suffix of host names, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Hosts with this name, or under it.
    Suffix(String),
    /// Addresses whose first bits are these.
    Network {
        /// The first address.
        first: IpAddr,
        /// How many bits count.
        bits: u8,
    },
}

/// The text is neither a host suffix nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a suffix of host names, as example.internal, nor a network, as 192.0.2.0/24")]
pub struct BadAllowed(String);

impl FromStr for Allowed {
    type Err = BadAllowed;
    fn from_str(text: &str) -> Result<Self, BadAllowed> {
        let bad = || BadAllowed(text.chars().take(80).collect());
        if let Some((first, bits)) = text.split_once('/') {
            let first: IpAddr = first.parse().map_err(|_| bad())?;
            let bits: u8 = bits.parse().map_err(|_| bad())?;
            let bits_max = if first.is_ipv4() { 32 } else { 128 };
            return if bits <= bits_max { Ok(Self::Network { first, bits }) } else { Err(bad()) };
        }
        if let Ok(first) = text.parse::<IpAddr>() {
            return Ok(Self::Network { first, bits: if first.is_ipv4() { 32 } else { 128 } });
        }
        let suffix = text.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        if crate::model::reference::is_subdomain(&suffix) { Ok(Self::Suffix(suffix)) } else { Err(bad()) }
    }
}

impl Allowed {
    fn holds_name(&self, host: &str) -> bool {
        match self {
            Self::Suffix(suffix) => host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            Self::Network { .. } => false,
        }
    }

    fn holds_address(&self, address: IpAddr) -> bool {
        let Self::Network { first, bits } = self else { return false };
        let same = |one: u128, other: u128, width: u32| {
            let shift = width - u32::from(*bits);
            one.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
        };
        match (first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => same(u128::from(first.to_bits()), u128::from(address.to_bits()), 32),
            (IpAddr::V6(first), IpAddr::V6(address)) => same(first.to_bits(), address.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// What may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAllow(Vec<Allowed>);

impl HttpAllow {
    /// The cluster, and these.
    #[must_use]
    pub fn and(allowed: Vec<Allowed>) -> Self {
        Self(allowed)
    }

    /// Whether a host may be resolved at all.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn host(&self, host: &str) -> Result<(), String> {
        let host = as_name(host);
        let allowed = self.0.iter().any(|allowed| allowed.holds_name(&host)) || is_of_cluster(&host);
        if allowed {
            Ok(())
        } else {
            Err(format!("{host} is no Service of the cluster: the administrator may add --http-allow {host}"))
        }
    }

    /// The address to connect to: the first that may be.
    ///
    /// # Errors
    /// Why none may.
    pub fn address(&self, host: &str, resolved: &[SocketAddr]) -> Result<SocketAddr, String> {
        let by_name = self.0.iter().any(|allowed| allowed.holds_name(&as_name(host)));
        let good = resolved.iter().find(|address| self.may_connect(by_name, plain(address.ip())));
        good.copied().ok_or_else(|| match resolved.first() {
            None => format!("no such host {host}"),
            Some(address) => format!(
                "{} is not asked: only private addresses of the cluster, and what the administrator adds with --http-allow",
                address.ip()
            ),
        })
    }

    fn may_connect(&self, by_name: bool, address: IpAddr) -> bool {
        let by_network = self.0.iter().any(|allowed| allowed.holds_address(address));
        if is_never(address) {
            return false;
        }
        by_network || (!address.is_loopback() && (by_name || is_private(address)))
    }
}

/// Names are the same in capitals, and with the root's dot.
fn as_name(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// `name`, `name.namespace`, `name.namespace.svc` and what follows.
fn is_of_cluster(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [_] | [_, _] => true,
        [_, _, svc, ..] => *svc == "svc",
        [] => false,
    }
}

/// An IPv4 address in IPv6 clothes is an IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.octets().starts_with(&[0])
                || address.octets() == METADATA_V4
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.is_multicast() || address.is_unspecified() || is_metadata(address)
        }
    }
}

/// Where one large cloud answers for metadata: in the middle of the addresses of RFC 6598.
const METADATA_V4: [u8; 4] = [100, 100, 100, 200];

/// Where another does over IPv6.
fn is_metadata(address: Ipv6Addr) -> bool {
    address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || is_shared(address) || is_benchmark(address),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// RFC 6598: some clusters number their Pods so.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

/// RFC 2544: routed nowhere, so that test clusters number their Services so.
fn is_benchmark(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 198 && (18..20).contains(&second)
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may")]
mod tests {
    use super::*;

    fn allow(texts: &[&str]) -> HttpAllow {
        HttpAllow::and(texts.iter().map(|text| text.parse().expect("a value")).collect())
    }

    fn connects(allow: &HttpAllow, host: &str, address: &str) -> bool {
        allow.host(host).is_ok() && allow.address(host, &[SocketAddr::new(address.parse().expect("an address"), 80)]).is_ok()
    }

    #[test]
    fn by_default_services_of_the_cluster_are_asked_at_private_addresses() {
        let allow = HttpAllow::default();
        for (host, address) in [
            ("cup", "10.96.0.1"),
            ("cup.sanita", "172.20.1.1"),
            ("cup.sanita.svc", "192.168.3.4"),
            ("cup.sanita.svc.cluster.local.", "100.64.0.9"),
            ("cup.sanita", "fd12::1"),
            ("cup.sanita", "198.18.2.15"),
            ("cup.sanita", "::ffff:10.96.0.1"),
        ] {
            assert!(connects(&allow, host, address), "{host} {address}");
        }
        for (host, address) in [
            ("www.example.org", "10.96.0.1"),
            ("example.org", "203.0.113.9"),
            ("cup.sanita", "127.0.0.1"),
            ("cup.sanita", "::1"),
            ("cup.sanita", "::ffff:127.0.0.1"),
            ("cup.sanita", "169.254.169.254"),
            ("cup.sanita", "::ffff:169.254.169.254"),
            ("cup.sanita", "fe80::1"),
            ("cup.sanita", "fd00:ec2::254"),
            ("cup.sanita", "0.0.0.0"),
            ("cup.sanita", "224.0.0.1"),
            ("cup.sanita", "100.100.100.200"),
            ("cup.sanita", "100.63.255.255"),
            ("cup.sanita", "100.128.0.0"),
            ("cup.sanita", "198.17.255.255"),
            ("cup.sanita", "198.20.0.0"),
        ] {
            assert!(!connects(&allow, host, address), "{host} {address}");
        }
    }

    #[test]
    fn the_administrator_adds_names_and_networks() {
        let allow = allow(&["example.org", "127.0.0.0/8", "203.0.113.0/24", "2001:db8::/32"]);
        for (host, address) in [
            ("www.example.org", "198.51.100.7"),
            ("EXAMPLE.org", "198.51.100.7"),
            ("example.org.", "198.51.100.7"),
            ("cup.sanita", "127.0.0.1"),
            ("cup.sanita", "203.0.113.200"),
            ("cup.sanita", "2001:db8:1::1"),
        ] {
            assert!(connects(&allow, host, address), "{host} {address}");
        }
        for (host, address) in [
            // A suffix is whole labels at the end, whatever follows or precedes.
            ("notexample.org", "198.51.100.7"),
            ("example.org.it", "198.51.100.7"),
            ("cup.sanita", "203.0.114.1"),
            ("cup.sanita", "2001:db9::1"),
        ] {
            assert!(!connects(&allow, host, address), "{host} {address}");
        }
    }

    #[test]
    fn what_is_never_asked_no_network_and_no_name_allows() {
        let all = allow(&["example.org", "0.0.0.0/0", "::/0"]);
        for address in [
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "100.100.100.200",
            "::ffff:169.254.169.254",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(!connects(&all, "example.org", address), "{address}");
        }
        assert!(connects(&all, "cup.sanita", "127.0.0.1") && connects(&all, "cup.sanita", "::1"), "loopback by its network");
        let by_name = allow(&["example.org"]);
        assert!(
            !connects(&by_name, "example.org", "127.0.0.1") && !connects(&by_name, "example.org", "::1"),
            "but not by a name"
        );
    }

    #[test]
    fn of_several_addresses_the_first_that_may_be_asked_is() {
        let addresses = ["203.0.113.9:80", "10.0.0.1:80"].map(|address| address.parse().expect("an address"));
        assert_eq!(HttpAllow::default().address("a.b", &addresses), Ok("10.0.0.1:80".parse().expect("an address")));
        assert_eq!(HttpAllow::default().address("a.b", &[]), Err("no such host a.b".to_owned()));
    }

    #[test]
    fn what_is_neither_a_name_nor_a_network_is_refused() {
        for text in ["", "http://a.b", "10.0.0.0/33", "10.0.0/8", "a_b"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.1".parse(), Ok(Allowed::Network { first: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), bits: 32 }));
        assert_eq!("*.Example.org".parse(), Ok(Allowed::Suffix("example.org".to_owned())));
    }
}
