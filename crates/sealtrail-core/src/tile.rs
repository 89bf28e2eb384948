//! Tiles (C2SP tlog-tiles): paths, contents, entry bundles.

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// One tile or entry bundle of a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Level of a hash tile; `None` for an entry bundle.
    pub level: Option<u8>,
    /// Number within its level.
    pub number: u64,
    /// 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

impl Tile {
    /// The path below the trail's directory: `tile/0/x001/234`, `tile/entries/000.p/17`.
    #[must_use]
    pub fn path(&self) -> String {
        let level = self.level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
        let mut number = format!("{:03}", self.number % 1000);
        let mut rest = self.number / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let partial =
            if u64::from(self.width) < TILE_WIDTH { format!(".p/{}", self.width) } else { String::new() };
        format!("tile/{level}/{number}{partial}")
    }

    /// Parses a path below the trail's directory. Only the one canonical form of each path is taken, so that no path
    /// leads anywhere else.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level =
            if level == "entries" { None } else { Some(level.parse().ok().filter(|l: &u8| *l < 64)?) };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|w| (1..256).contains(w))?),
            None => (rest, 256),
        };
        let digits: String = number.split('/').map(|part| part.trim_start_matches('x')).collect();
        let tile = Self { level, number: digits.parse().ok()?, width };
        (tile.path() == path).then_some(tile)
    }
}

/// Appends an entry to a bundle: its 16-bit length and its bytes.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The entries of a bundle; `None` where it does not come out even.
#[must_use]
pub fn split_bundle(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        bundle = rest;
    }
    bundle.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification_and_no_others() {
        for (number, width, path) in [
            (5, 256, "tile/0/005"),
            (1_234_067, 256, "tile/0/x001/x234/067"),
            (273_000, 112, "tile/0/x273/000.p/112"),
        ] {
            let tile = Tile { level: Some(0), number, width };
            assert_eq!(tile.path(), path);
            assert_eq!(Tile::parse(path), Some(tile));
        }
        assert_eq!(Tile::parse("tile/entries/000.p/9").unwrap().path(), "tile/entries/000.p/9");
        for bad in [
            "tile/0/5",
            "tile/0/../000",
            "tile/0/x000/005",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/00/000",
        ] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
    }
}
