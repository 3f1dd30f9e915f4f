"""What the builder asks of ideas without a language model, in one place; each part has a module of its own."""

from fairnad.knowledge.build.duplicates import merge_duplicates
from fairnad.knowledge.build.keywords import FoundIdea, Verdict, extract_ideas, judge_abstract
from fairnad.knowledge.build.places import Rejected, Tagged, map_tags, tag_idea
from fairnad.knowledge.build.relevance import off_topic

__all__ = [
    "FoundIdea",
    "Rejected",
    "Tagged",
    "Verdict",
    "extract_ideas",
    "judge_abstract",
    "map_tags",
    "merge_duplicates",
    "off_topic",
    "tag_idea",
]
