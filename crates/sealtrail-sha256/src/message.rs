//! A message cut into padded blocks (FIPS 180-4 section 5.1.1).

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// A message on its way through a lane. Whole blocks of the body are read where they stand; the first, which begins with
/// the head, and the last, which are padded, are copied.
pub(crate) struct Message<'a> {
    first: [u8; BLOCK],
    /// Whole blocks of the body behind the first block.
    middle: &'a [[u8; BLOCK]],
    /// The rest of the body, the padding and the length in bits.
    last: [[u8; BLOCK]; 2],
    /// Blocks taken, of all there are.
    taken: usize,
    blocks: usize,
}

impl Default for Message<'_> {
    fn default() -> Self {
        Self { first: [0; BLOCK], middle: &[], last: [[0; BLOCK]; 2], taken: 0, blocks: 1 }
    }
}

impl<'a> Message<'a> {
    /// Begins a message.
    pub(crate) fn begin<const HEAD: usize>(&mut self, head: [u8; HEAD], body: &'a [u8]) {
        let beside = BLOCK - HEAD;
        let mut last = [0; 2 * BLOCK];
        let (whole, rest) = match body.split_at_checked(beside) {
            Some((begin, rest)) => {
                self.first[..HEAD].copy_from_slice(&head);
                self.first[HEAD..].copy_from_slice(begin);
                let (middle, rest) = rest.as_chunks();
                self.middle = middle;
                last[..rest.len()].copy_from_slice(rest);
                (1 + middle.len(), rest.len())
            }
            None => {
                self.middle = &[];
                last[..HEAD].copy_from_slice(&head);
                last[HEAD..HEAD + body.len()].copy_from_slice(body);
                (0, HEAD + body.len())
            }
        };
        last[rest] = 0x80;
        // One bit and eight bytes of length stand behind the rest.
        let padded = if rest < BLOCK - 8 { 1 } else { 2 };
        let bits = 8 * (HEAD + body.len()) as u64;
        last[padded * BLOCK - 8..padded * BLOCK].copy_from_slice(&bits.to_be_bytes());
        let (halves, _) = last.as_chunks();
        self.last.copy_from_slice(halves);
        // A message without a whole block begins at its last.
        self.taken = usize::from(whole == 0);
        self.blocks = whole.max(1) + padded;
    }

    /// The block that comes next.
    pub(crate) fn block(&self) -> &[u8; BLOCK] {
        match self.taken.checked_sub(1) {
            None => &self.first,
            Some(behind) => match self.middle.get(behind) {
                Some(block) => block,
                None => &self.last[(behind - self.middle.len()).min(1)],
            },
        }
    }

    /// Moves to the next block; whether the message is done.
    pub(crate) fn advance(&mut self) -> bool {
        self.taken += 1;
        self.taken >= self.blocks
    }
}
