"""Public keys (3.2) and signatures (3.1)."""
import functools

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from .notation import H

ES256, ES384, ED25519 = -7, -35, -19
SIGNATURE_LENGTH = {ES256: 64, ES384: 96, ED25519: 64}

_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P384 = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")
_ED = bytes.fromhex("302a300506032b6570032100")
_ORDER = {
    ES256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ES384: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
_HASH = {ES256: hashes.SHA256(), ES384: hashes.SHA384()}
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


def on_ed25519(raw):
    """Whether 32 bytes decode to a point (RFC 8032 section 5.1.3)."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x2 = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return y < _P and (not sign if x2 == 0 else pow(x2, (_P - 1) // 2, _P) == 1)


def allowed(raw):
    """Whether 32 bytes may be an Ed25519 key or a signature's R (3.2): y below the prime and of no small-order point."""
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    # Orders 4, 1 and 2; a point whose double has y = 0, that is of order 8, has x^2 = -y^2.
    return y < _P and y not in (0, 1, _P - 1) and (_D * y**4 + 2 * y * y - 1) % _P != 0


class PublicKey:
    def __init__(self, spki):
        """ValueError unless spki is one of the three forms, a P-256 or P-384 point on its curve."""
        self.id = H(spki)
        if len(spki) == 91 and spki.startswith(_P256 + b"\4"):
            self.alg, self.key = ES256, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), spki[26:])
        elif len(spki) == 120 and spki.startswith(_P384 + b"\4"):
            self.alg, self.key = ES384, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), spki[23:])
        elif len(spki) == 44 and spki.startswith(_ED) and allowed(spki[12:]):
            self.alg, self.key = ED25519, None  # no point: verifies nothing
            if on_ed25519(spki[12:]):
                self.key = ed25519.Ed25519PublicKey.from_public_bytes(spki[12:])
        else:
            raise ValueError("not a public key of 3.2")

    def verify(self, signature, message, low_s=True):
        if len(signature) != SIGNATURE_LENGTH[self.alg] or self.key is None:
            return False
        half = len(signature) // 2
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        try:
            if self.alg == ED25519:
                if not allowed(signature[:32]):
                    return False
                self.key.verify(signature, message)
            elif low_s and s > _ORDER[self.alg] // 2:
                return False
            else:
                self.key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(_HASH[self.alg]))
            return True
        except (InvalidSignature, ValueError):
            return False


public_key = functools.lru_cache(maxsize=4096)(PublicKey)


def ed25519_key(raw):
    return public_key(_ED + raw)
