//! Blocks of IPv4 addresses, as `10.213.0.0/22` writes them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A block of IPv4 addresses whose size is a power of two and whose start is a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

/// A text that is not a subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a subnet: write an address and the length of its prefix, as in 10.213.0.0/16"
)]
pub struct InvalidSubnet(String);

impl Subnet {
    /// The block of `prefix` leading bits (at most 32) that `address` lies in.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self {
            first: u32::from(address) & mask(prefix),
            prefix,
        }
    }

    /// How many leading bits its addresses share.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Its first address, which names the block and belongs to no host.
    pub const fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first)
    }

    /// The address after that, which Docker gives to the bridge itself.
    pub const fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.saturating_add(1))
    }

    /// How many addresses it has.
    pub const fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// Whether they have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.first & shorter == other.first & shorter
    }

    /// The blocks of `prefix` leading bits in this one, from the first on; none if they would be larger.
    pub fn blocks(self, prefix: u8) -> impl Iterator<Item = Self> {
        let step = 1_u64 << (32 - prefix.min(32));
        let end = u64::from(self.first) + self.size();
        let fits = prefix >= self.prefix && prefix <= 32;
        (0..)
            .map(move |index| u64::from(self.first) + index * step)
            .take_while(move |first| fits && *first < end)
            .filter_map(move |first| {
                Some(Self {
                    first: u32::try_from(first).ok()?,
                    prefix,
                })
            })
    }
}

const fn mask(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        bits => u32::MAX << (32 - bits),
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let parts = text.split_once('/').and_then(|(address, prefix)| {
            let digits = prefix.bytes().all(|b| b.is_ascii_digit());
            let prefix: u8 = prefix.parse().ok().filter(|bits| digits && *bits <= 32)?;
            Some((address.parse::<Ipv4Addr>().ok()?, prefix))
        });
        let (address, prefix) =
            parts.ok_or_else(|| InvalidSubnet(text.chars().take(64).collect()))?;
        Ok(Self::of(address, prefix))
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(text: String) -> Result<Self, InvalidSubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_is_read_and_written() {
        assert_eq!(subnet("10.213.7.9/22").to_string(), "10.213.4.0/22");
        assert_eq!(subnet("0.0.0.0/0").size(), 1 << 32);
        assert_eq!(subnet("10.213.4.0/22").gateway().to_string(), "10.213.4.1");
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/+8",
            "::/0",
        ] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn blocks_that_share_an_address_overlap() {
        for (a, b, expected) in [
            ("10.0.0.0/8", "10.213.0.0/22", true),
            ("10.213.0.0/22", "10.213.3.0/24", true),
            ("10.213.0.0/22", "10.213.4.0/22", false),
            ("0.0.0.0/0", "10.213.4.0/22", true),
        ] {
            assert_eq!(subnet(a).overlaps(subnet(b)), expected, "{a} {b}");
            assert_eq!(subnet(b).overlaps(subnet(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn blocks_fill_a_subnet_and_no_more() {
        let blocks: Vec<String> = subnet("255.255.248.0/21")
            .blocks(22)
            .map(|block| block.to_string())
            .collect();
        assert_eq!(blocks, ["255.255.248.0/22", "255.255.252.0/22"]);
        assert_eq!(subnet("10.0.0.0/24").blocks(22).count(), 0);
        assert_eq!(subnet("10.213.0.0/16").blocks(22).count(), 64);
    }
}
