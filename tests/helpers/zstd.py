"""Pack and unpack zstd with the module that xopen itself needs, so that tests need no other."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def compress(data):
    """Return a frame with a checksum, which compressors write only when asked."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


decompress = zstd.decompress
