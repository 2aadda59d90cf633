"""What goes wrong in files, as one exception that says where."""

from __future__ import annotations


class SequenceFileError(ValueError):
    """A sequence, label or embedding file does not hold what it should.

    The message names the file and the record or line. It is a `ValueError`, so that code which
    treats bad input alike, wherever it comes from, needs one ``except``. A file that is missing, is
    a directory or may not be read raises the usual `OSError` instead.
    """
