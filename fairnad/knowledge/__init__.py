"""Design knowledge as data: the tree of attributes, and the ideas that are tagged with it. No LLM, no torch."""

from fairnad.knowledge.attributes import MAIN_CATEGORIES, Attribute, AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel

__all__ = ["MAIN_CATEGORIES", "Attribute", "AttributeTree", "IdeaDatabase", "SamplingLevel"]
