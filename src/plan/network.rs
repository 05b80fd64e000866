//! Which addresses the network of a cluster gets.

use crate::domain::Subnet;

/// How large a cluster's network is: 1,024 addresses. A bridge of Linux has room for 1,023 ports, so a
/// larger one would only promise what it cannot keep.
pub const CLUSTER_PREFIX: u8 = 22;

/// The blocks of `pool` that a cluster's network may have, in the order in which they are to be tried:
/// those that share no address with what is `taken`. A pool that is smaller than a block is one block.
pub fn free_subnets(pool: Subnet, taken: &[Subnet]) -> impl Iterator<Item = Subnet> {
    pool.blocks(CLUSTER_PREFIX.max(pool.prefix()))
        .filter(move |block| !taken.iter().any(|other| other.overlaps(*block)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pool: &str, taken: &[&str]) -> Vec<String> {
        let taken: Vec<Subnet> = taken.iter().map(|text| text.parse().unwrap()).collect();
        free_subnets(pool.parse().unwrap(), &taken)
            .map(|subnet| subnet.to_string())
            .collect()
    }

    #[test]
    fn what_a_network_or_a_route_has_is_skipped() {
        assert_eq!(
            free("10.213.0.0/21", &[]),
            ["10.213.0.0/22", "10.213.4.0/22"]
        );
        assert_eq!(
            free(
                "10.213.0.0/20",
                &["172.17.0.0/16", "10.213.0.0/22", "10.213.9.0/24"]
            ),
            ["10.213.4.0/22", "10.213.12.0/22"]
        );
    }

    #[test]
    fn a_pool_can_be_full() {
        assert_eq!(free("10.213.0.0/22", &["10.213.1.0/32"]), [""; 0]);
        assert_eq!(free("10.213.0.0/16", &["10.0.0.0/8"]), [""; 0]);
    }

    #[test]
    fn a_small_pool_is_one_network() {
        assert_eq!(free("10.213.0.0/29", &[]), ["10.213.0.0/29"]);
    }
}
