"""Models behind the embedders, and how to load them."""

from ._protocol import Backbone, Mixing

__all__ = ["Backbone", "Mixing"]
