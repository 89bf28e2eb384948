//! File descriptors: as many as the system allows, and how many of them connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are never a connection's: files being written and read, the runtime's own. Some thirty are used.
const RESERVED: u64 = 128;

/// Parts that descriptors are divided into: one for each listener of a process (`sealtrail dev` has three), and one for
/// files. A flood of connections then never keeps a file from being opened, which would look like a failed disk.
const PARTS: u64 = 4;

/// How many connections a listener can have, up to the number wished for. Raises the process's soft limit on descriptors
/// to its hard limit, so far as that is needed: 1,024, which most systems begin with, is little.
#[must_use]
pub fn connections_max(wished: usize) -> usize {
    let needed = RESERVED + PARTS * wished as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let current =
            limit.maximum.map_or(needed, |maximum| maximum.min(needed)).max(limit.current.unwrap_or(0));
        let raised = Rlimit { current: Some(current), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    affordable(wished, limit.current)
}

fn affordable(wished: usize, descriptors: Option<u64>) -> usize {
    let part = descriptors.map_or(u64::MAX, |n| n.saturating_sub(RESERVED) / PARTS);
    wished.min(usize::try_from(part).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_their_descriptors() {
        assert_eq!(affordable(1024, None), 1024);
        assert_eq!(affordable(1024, Some(20_000)), 1024);
        assert_eq!(affordable(1024, Some(1024)), 224);
        assert_eq!(affordable(1024, Some(64)), 1);
        // Whatever this process is allowed, three listeners leave a part of it.
        let each = connections_max(1024) as u64;
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(3 * each + RESERVED <= limit || each == 1, "{each} {limit}");
    }
}
