"""What a new backend is checked with: subclass AdapterConformance, name your maker and your models, run pytest."""

from penstock_adapters.testing.cases import Case
from penstock_adapters.testing.conformance import AdapterConformance

__all__ = ["AdapterConformance", "Case"]
