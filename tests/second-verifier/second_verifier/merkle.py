"""The Merkle tree of RFC 6962 and the inclusion proofs of RFC 9162."""
from .notation import H


def node(left, right):
    return H(b"\x01" + left + right)


class Tree:
    """All complete subtrees over a list of leaf hashes; the root of any prefix."""

    def __init__(self, leaves):
        self.levels = [leaves]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])

    def root(self, size):
        """The root of the first size leaves."""
        if size == 0:
            return H(b"")
        out = None
        for level, hashes in enumerate(self.levels):
            if size >> level & 1:
                last = hashes[(size >> level) - 1]
                out = last if out is None else node(last, out)
        return out


def root_of(leaves):
    return Tree(leaves).root(len(leaves))


def verify_inclusion(index, size, leaf, proof, root):
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size or len(leaf) != 32 or len(root) != 32:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root
