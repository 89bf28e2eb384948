"""The Merkle tree of RFC 6962 and the proofs of RFC 9162."""
from .keys import H


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
        out, end = None, size
        for level, hashes in enumerate(self.levels):
            if size >> level & 1:
                end = (size >> level) - 1
                out = hashes[end] if out is None else node(hashes[end], out)
        return out

    def inclusion(self, index, size):
        """The inclusion proof of a leaf in the first size leaves (used by tests)."""
        def subtree(start, count):
            if count & (count - 1) == 0:
                level = count.bit_length() - 1
                return self.levels[level][start >> level]
            k = 1 << ((count - 1).bit_length() - 1)
            return node(subtree(start, k), subtree(start + k, count - k))

        proof, start, count = [], 0, size
        while count > 1:
            k = 1 << ((count - 1).bit_length() - 1)
            if index - start < k:
                proof.append(subtree(start + k, count - k))
                count = k
            else:
                proof.append(subtree(start, k))
                start, count = start + k, count - k
        return proof[::-1]


def root_of(leaves):
    return Tree(leaves).root(len(leaves))


def verify_inclusion(index, size, leaf, proof, root):
    """RFC 9162 section 2.1.3.2."""
    if index < 0 or index >= size or len(leaf) != 32 or len(root) != 32:
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


def verify_consistency(size1, size2, root1, root2, proof):
    """RFC 9162 section 2.1.4.2; an empty first tree is consistent with an empty proof only."""
    if size1 > size2 or size1 < 0:
        return False
    if size1 == size2:
        return not proof and root1 == root2
    if size1 == 0:
        return not proof and root1 == H(b"")
    if not proof:
        return False
    path = list(proof)
    if size1 & (size1 - 1) == 0:
        path.insert(0, root1)
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == root1 and sr == root2
